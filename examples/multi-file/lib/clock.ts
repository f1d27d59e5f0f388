export function localTime(zone: string, now = new Date()): string {
  return new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: zone }).format(now);
}
