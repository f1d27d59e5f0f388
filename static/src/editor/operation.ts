// A deploy as the API knows it: what is sent, what comes of it, and its steps while it goes on.

import { call, ofApp } from "../lib/api";
import type { Changes, Content } from "../lib/desk";
import { type Operation, stream, type Step } from "../lib/stream";

export interface Made { app: { name: string; url: string; version: number }; deploy: { id: number; version: number; steps: Step[]; ms: number | null } }

/** Steps from which on a deploy is not cut: requests wait for it. */
const LAST_STEPS = ["drain", "switch"];

export const canCancel = (operation: Operation): boolean => operation.status === "running" && !LAST_STEPS.includes(operation.step);

/** Hear of the steps of an app's deploys, from now on. */
export function onSteps(app: string, heard: (operation: Operation) => void): void {
  stream(app).on("operation", (operation) => operation.kind === "deploy" && heard(operation));
}

/** Make changes live on top of `version`. Throws ApiError. */
export const deploy = (app: string, changes: Changes, version: number): Promise<Made> =>
  call("POST", ofApp(app, "/deploys"), { files: changes, merge: true, base_version: version });

/** Make a new app; without a name it gets one. `remixOf` is the app that these files were made from. Throws ApiError. */
export const create = (files: Record<string, Content>, name: string, remixOf?: string): Promise<Made> =>
  call("POST", "/apps", { files, ...(name && { name }), ...(remixOf && { remix_of: remixOf }) });

/** Stop a deploy where nothing of it is true yet; what comes of it is told by the deploy itself. */
export const cancel = (operation: Operation): void => void call("POST", `/operations/${operation.id}/cancel`, {}).catch(() => undefined);
