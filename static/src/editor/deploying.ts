// The button that makes the draft live: steps with their times, what came of it, and where a mistake is.

import { ApiError } from "../lib/api";
import type { Content, Problem } from "../lib/desk";
import { confirmed } from "../lib/dialog";
import { make } from "../lib/dom";
import { plain, span } from "../lib/shown";
import type { Operation, Step } from "../lib/stream";
import type { Editing } from "./editing";
import { listed, loaded } from "./loading";
import { canCancel, cancel, create, deploy, onSteps } from "./operation";
import type { Outcome } from "./outcome";

const LOG_LINES_SHOWN = 12;

export class Deploying {
  private busy = false;
  private began = 0;

  constructor(private editing: Editing, private outcome: Outcome, private button: HTMLButtonElement, private remixOf?: string) {
    if (editing.app) onSteps(editing.app, (operation) => this.busy && this.told(operation));
  }

  /** Make the draft live. Does nothing while that goes on. */
  async run(name = ""): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.began = performance.now();
    this.button.setAttribute("aria-busy", "true");
    this.editing.mark([]);
    try {
      await (this.editing.app ? this.deploy() : this.create(name));
    } catch (error) {
      await this.failed(error);
    } finally {
      this.busy = false;
      this.button.removeAttribute("aria-busy");
    }
  }

  /** Put the draft on top of the version that went live meanwhile. Does nothing while a deploy goes on. */
  async join(live: number): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      await this.conflict(live);
    } catch (error) {
      await this.failed(error);
    } finally {
      this.busy = false;
    }
  }

  private async deploy(): Promise<void> {
    const { app, workspace } = this.editing;
    const changes = workspace.changes();
    if (!Object.keys(changes).length) {
      this.outcome.say("note", [`Nothing differs from version ${workspace.version}, so nothing is deployed.`]);
      return;
    }
    this.outcome.say("going", [going("Deploying", [], "", 0)]);
    const { deploy: made } = await deploy(app, changes, workspace.version);
    workspace.deployed(made.version, changes);
    const live = make("strong", {}, `Version ${made.version} is live after ${span(made.ms ?? 0)}.`);
    this.outcome.say("done", [make("p", {}, live, " ", make("a", { href: this.editing.url, rel: "noopener" }, this.editing.url)), steps(made.steps)]);
    this.editing.tell("deployed");
    this.editing.changed();
  }

  private told(operation: Operation): void {
    if (operation.status !== "running") return;
    const choices = canCancel(operation) ? [{ words: "Cancel", run: () => cancel(operation) }] : [];
    this.outcome.say("going", [going("Deploying", operation.steps, operation.step, performance.now() - this.began)], choices);
  }

  private async create(name: string): Promise<void> {
    this.outcome.say("going", [going("Starting it", [], "", 0)]);
    const made = await create(await this.editing.files(), name, this.remixOf);
    this.editing.tell("deployed");
    location.assign(`/apps/${made.app.name}?deployed=${made.deploy.id}`);
  }

  private async failed(error: unknown): Promise<void> {
    const refusal = error instanceof ApiError ? error : new ApiError(0, "internal", `The page itself failed: ${error}`);
    if (refusal.code === "version_conflict") return this.conflict(Number(refusal.details.live)).catch((error: unknown) => this.failed(error));
    const problem = placeOf(refusal);
    if (problem) {
      this.editing.mark([problem]);
      if (this.editing.workspace.has(problem.path)) this.editing.show(problem.path, problem.line, problem.column);
    }
    const { step, logs } = refusal.details as { step?: string; logs?: string[] };
    const title = refusal.code === "cancelled" ? "Cancelled" : refusal.code === "deploy_failed" ? "Not deployed" : "That did not work";
    const known = this.editing.app ? `Version ${this.editing.version()} goes on serving.` : "Nothing was kept.";
    const goesOn = refusal.status ? known : "What became of it is not known here: load the page again to see.";
    const where = problem ? [" ", place(problem, this.editing)] : [];
    const content: (Node | string)[] = [make("p", {}, make("strong", {}, title), step ? ` at “${step}”: ` : ": ", plain(refusal.message), ...where)];
    if (logs?.length) content.push(make("details", { open: true }, make("summary", {}, "Last log lines"), make("pre", { tabIndex: 0 }, plain(logs.slice(-LOG_LINES_SHOWN).join("\n")))));
    content.push(make("p", { className: "hint" }, `${goesOn} Your text is as you left it.`));
    // Whose session is over is a stranger, to whom the app is not there.
    if (refusal.status === 401 || refusal.status === 404) {
      content.push(make("p", {}, make("a", { href: `/login?next=${encodeURIComponent(location.pathname)}` }, "Log in again"), ", and your draft is there."));
    }
    this.outcome.say("failed", content, refusal.status === 0 ? [{ words: "Try again", run: () => void this.run() }] : []);
  }

  /** Somebody deployed meanwhile: join what goes together, ask about the rest. */
  private async conflict(live: number): Promise<void> {
    const { app, workspace } = this.editing;
    this.outcome.say("going", [make("p", {}, `Version ${live} went live meanwhile. Reading what differs…`)]);
    const [base, theirs, mine, { openConflict }] = await Promise.all([
      loaded(app, workspace.originals()), listed(app, live).then((files) => loaded(app, files)), this.editing.files(), import("./conflict"),
    ]);
    const decided = await openConflict({ base, theirs, mine, version: live });
    if (decided) {
      this.over(live, theirs, decided.files);
      const words = decided.merged.length ? ` Lines of both are joined in ${decided.merged.join(", ")}.` : "";
      this.outcome.say("note", [make("p", {}, `Your draft is on top of version ${live} now.${words} Look at it, then deploy.`)], [this.again("Deploy it")]);
      return;
    }
    const load = async () => {
      if (!(await confirmed(`Load version ${live}?`, "What you changed here is thrown away.", "Load it"))) return;
      this.over(live, theirs, theirs);
      this.outcome.say("note", [`Version ${live} is open.`]);
    };
    const mineOver = () => {
      this.over(live, theirs, mine);
      void this.run();
    };
    this.outcome.say(
      "failed",
      [make("p", {}, make("strong", {}, "Somebody deployed meanwhile: "), `version ${live} is live, and your draft began as version ${workspace.version}. It is kept as it is.`)],
      [{ words: "Load theirs", run: () => void load() }, { words: "Deploy mine over it", run: mineOver }],
    );
  }

  private over(version: number, theirs: Record<string, Content>, files: Record<string, Content>): void {
    this.editing.rebase(version, new Map(Object.entries(theirs)), files);
  }

  private again(words: string) {
    return { words, go: true, run: () => void this.run() };
  }
}

// Private

function placeOf(refusal: ApiError): Problem | null {
  const { file, line, column } = refusal.details as { file?: string; line?: number; column?: number };
  if (!file) return null;
  return { path: file, line: line ?? 1, column: column ?? 0, message: refusal.message };
}

function place(problem: Problem, editing: Editing): HTMLElement {
  const words = `${problem.path}:${problem.line}${problem.column ? `:${problem.column}` : ""}`;
  const button = make("button", { type: "button", className: "plain to-place" }, words);
  button.addEventListener("click", () => editing.show(problem.path, problem.line, problem.column));
  return button;
}

function steps(done: Step[]): HTMLElement {
  return make("p", { className: "steps" }, ...done.map((step) => make("span", {}, `${step.name} ${step.ok ? span(step.ms) : "failed"}`)));
}

function going(title: string, done: Step[], now: string, ms: number): HTMLElement {
  const list = steps(done);
  if (now && now !== done.at(-1)?.name) list.append(make("span", { className: "now" }, `${now} …`));
  return make("div", {}, make("p", {}, make("strong", {}, `${title}…`), ms > 1000 ? ` ${span(ms)}` : ""), list);
}
