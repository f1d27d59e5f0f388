"""The layout of steady.db and of an app's telemetry file, as numbered upgrades. Never edit one that was released."""

from __future__ import annotations

STEADY = (
    """
    CREATE TABLE principals (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('operator', 'user', 'guest')),
        name TEXT NOT NULL, created_at REAL NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX one_operator ON principals (kind) WHERE kind = 'operator';

    CREATE TABLE sessions (
        hash BLOB PRIMARY KEY, principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
        created_at REAL NOT NULL, expires_at REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tokens (
        hash BLOB PRIMARY KEY, principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
        label TEXT NOT NULL, created_at REAL NOT NULL, revoked_at REAL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE login_links (
        hash BLOB PRIMARY KEY, principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
        expires_at REAL NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE apps (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE, owner_id TEXT NOT NULL REFERENCES principals,
        version INTEGER NOT NULL DEFAULT 0, temporary INTEGER NOT NULL, held INTEGER NOT NULL DEFAULT 0,
        created_at REAL NOT NULL, updated_at REAL NOT NULL, expires_at REAL, deleted_at REAL,
        settings TEXT NOT NULL DEFAULT '{}', last_death TEXT
    ) STRICT;
    CREATE INDEX apps_of_owner ON apps (owner_id);
    CREATE TABLE hostnames (
        hostname TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX hostnames_of_app ON hostnames (app_id);

    CREATE TABLE versions (
        app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, number INTEGER NOT NULL,
        entry TEXT NOT NULL, source TEXT NOT NULL, modules TEXT NOT NULL DEFAULT '',
        author_id TEXT NOT NULL, created_at REAL NOT NULL,
        PRIMARY KEY (app_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE version_files (
        app_id TEXT NOT NULL, number INTEGER NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
        PRIMARY KEY (app_id, number, path),
        FOREIGN KEY (app_id, number) REFERENCES versions (app_id, number) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX version_files_by_content ON version_files (sha256);

    CREATE TABLE deploys (
        id INTEGER PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, version INTEGER NOT NULL,
        kind TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('running', 'live', 'failed')),
        steps TEXT NOT NULL DEFAULT '[]', reason TEXT NOT NULL DEFAULT '', started_at REAL NOT NULL, finished_at REAL
    ) STRICT;
    CREATE INDEX deploys_of_app ON deploys (app_id, id);

    CREATE TABLE operations (
        id INTEGER PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, kind TEXT NOT NULL,
        principal_id TEXT NOT NULL, step TEXT NOT NULL, outcome TEXT, started_at REAL NOT NULL, finished_at REAL
    ) STRICT;
    CREATE INDEX operations_open ON operations (app_id) WHERE finished_at IS NULL;

    CREATE TABLE events (
        id INTEGER PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, at REAL NOT NULL,
        kind TEXT NOT NULL, message TEXT NOT NULL, details TEXT NOT NULL DEFAULT '{}'
    ) STRICT;
    CREATE INDEX events_of_app ON events (app_id, id);
    """,
    """
    ALTER TABLE versions ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
    """,
    """
    ALTER TABLE principals ADD COLUMN notify TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE targets (
        app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, address TEXT NOT NULL, port INTEGER NOT NULL,
        PRIMARY KEY (app_id, address, port)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE versions ADD COLUMN message TEXT NOT NULL DEFAULT '';
    ALTER TABLE versions ADD COLUMN git TEXT NOT NULL DEFAULT '';
    ALTER TABLE versions ADD COLUMN remix_of TEXT NOT NULL DEFAULT '';
    ALTER TABLE versions ADD COLUMN bun TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE environments (
        app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, revision INTEGER NOT NULL,
        at REAL NOT NULL, author_id TEXT NOT NULL, hash TEXT NOT NULL,
        PRIMARY KEY (app_id, revision)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE variables (
        id INTEGER PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
        context TEXT NOT NULL, name TEXT NOT NULL, secret INTEGER NOT NULL, updated_at REAL NOT NULL,
        sealed BLOB NOT NULL, fingerprint BLOB NOT NULL, since INTEGER NOT NULL, until INTEGER
    ) STRICT;
    CREATE INDEX variables_of_app ON variables (app_id, until);
    CREATE UNIQUE INDEX variables_in_force ON variables (app_id, context, name) WHERE until IS NULL;
    CREATE TABLE version_environments (
        app_id TEXT NOT NULL, version INTEGER NOT NULL, revision INTEGER NOT NULL,
        PRIMARY KEY (app_id, version),
        FOREIGN KEY (app_id, version) REFERENCES versions (app_id, number) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    """,
    # Names that apps gave up. `app_id` is where one leads on to; without it, the app is gone.
    """
    CREATE TABLE former_names (
        name TEXT PRIMARY KEY, app_id TEXT REFERENCES apps (id) ON DELETE SET NULL, owner_id TEXT NOT NULL,
        until REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX former_names_of_app ON former_names (app_id);
    """,
    # An operation outlives its app: whoever asked for one that failed, or for a purge, still reads how it ended.
    """
    CREATE TABLE works (
        id INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL, app_name TEXT NOT NULL, kind TEXT NOT NULL,
        principal_id TEXT NOT NULL, step TEXT NOT NULL, steps TEXT NOT NULL DEFAULT '[]',
        committed INTEGER NOT NULL DEFAULT 0, outcome TEXT, error TEXT, started_at REAL NOT NULL, finished_at REAL
    ) STRICT;
    INSERT INTO works (id, app_id, app_name, kind, principal_id, step, outcome, started_at, finished_at)
        SELECT o.id, o.app_id, a.name, o.kind, o.principal_id, o.step, o.outcome, o.started_at, o.finished_at
        FROM operations o JOIN apps a ON a.id = o.app_id;
    DROP TABLE operations;
    ALTER TABLE works RENAME TO operations;
    CREATE INDEX operations_open ON operations (id) WHERE finished_at IS NULL;
    CREATE INDEX operations_of_app ON operations (app_id, id);
    CREATE INDEX operations_of_principal ON operations (principal_id, id);
    UPDATE deploys SET finished_at = started_at,
        status = CASE version WHEN (SELECT version FROM apps WHERE id = app_id) THEN 'live' ELSE 'failed' END
        WHERE status = 'running';
    ALTER TABLE deploys ADD COLUMN operation_id INTEGER;
    CREATE INDEX deploys_of_operation ON deploys (operation_id);
    """,
    """
    ALTER TABLE versions ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE version_crons (
        app_id TEXT NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, said TEXT NOT NULL,
        PRIMARY KEY (app_id, number, id),
        FOREIGN KEY (app_id, number) REFERENCES versions (app_id, number) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE crons (
        app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, id TEXT NOT NULL, said TEXT,
        enabled INTEGER NOT NULL DEFAULT 1, follows TEXT NOT NULL DEFAULT '', next_at REAL, last_at REAL,
        retry_at REAL, retry_of REAL, retry_attempt INTEGER,
        PRIMARY KEY (app_id, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cron_runs (
        id INTEGER PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, cron_id TEXT NOT NULL,
        scheduled_at REAL NOT NULL, attempt INTEGER NOT NULL, by_hand INTEGER NOT NULL, started_at REAL NOT NULL,
        finished_at REAL, outcome TEXT NOT NULL, version INTEGER NOT NULL, status INTEGER NOT NULL, ms REAL NOT NULL,
        count INTEGER NOT NULL, error TEXT NOT NULL
    ) STRICT;
    CREATE INDEX cron_runs_of_cron ON cron_runs (app_id, cron_id, id);
    CREATE INDEX cron_runs_of_app ON cron_runs (app_id, id);
    CREATE INDEX cron_runs_open ON cron_runs (id) WHERE finished_at IS NULL;
    """,
    """
    CREATE INDEX public_apps ON apps (name) WHERE json_extract(settings, '$.visibility') = 'public';
    """,
    """
    CREATE TABLE accounts (
        principal_id TEXT PRIMARY KEY REFERENCES principals ON DELETE CASCADE,
        username TEXT NOT NULL UNIQUE, email TEXT NOT NULL, password TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE principals ADD COLUMN suspended TEXT;
    ALTER TABLE apps ADD COLUMN suspended TEXT;

    ALTER TABLE login_links ADD COLUMN purpose TEXT NOT NULL DEFAULT 'login';
    ALTER TABLE sessions ADD COLUMN agent TEXT NOT NULL DEFAULT '';
    ALTER TABLE sessions ADD COLUMN last_used_at REAL;
    CREATE INDEX sessions_of_principal ON sessions (principal_id);

    DELETE FROM tokens WHERE revoked_at IS NOT NULL;
    ALTER TABLE tokens DROP COLUMN revoked_at;
    ALTER TABLE tokens ADD COLUMN scope TEXT NOT NULL DEFAULT 'all';
    ALTER TABLE tokens ADD COLUMN app_id TEXT REFERENCES apps (id) ON DELETE CASCADE;
    ALTER TABLE tokens ADD COLUMN expires_at REAL;
    ALTER TABLE tokens ADD COLUMN last_used_at REAL;
    CREATE INDEX tokens_of_principal ON tokens (principal_id);
    CREATE INDEX tokens_of_app ON tokens (app_id);
    """,
    """
    ALTER TABLE versions ADD COLUMN live_at REAL;
    ALTER TABLE versions ADD COLUMN positions TEXT NOT NULL DEFAULT '[]';
    """,
    """
    CREATE TABLE engines (
        app_id TEXT PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE, version INTEGER NOT NULL, bun TEXT NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE apps ADD COLUMN cron_key TEXT;
    """,
    # Names of variables without a value: what a remix has of its original's.
    """
    CREATE TABLE blanks (
        app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, name TEXT NOT NULL, secret INTEGER NOT NULL,
        at REAL NOT NULL, PRIMARY KEY (app_id, name)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE INDEX former_names_of_owner ON former_names (owner_id, until);
    """,
    """
    UPDATE versions SET live_at = coalesce(live_at, (
        SELECT max(coalesce(d.finished_at, d.started_at)) FROM deploys d
        WHERE d.app_id = versions.app_id AND d.version = versions.number AND d.status = 'live'
    ));
    """,
    """
    ALTER TABLE tokens ADD COLUMN asked INTEGER NOT NULL DEFAULT 1;
    """,
    # What is kept elsewhere: lines of databases, restore points, captured files, and proofs that they come back.
    """
    CREATE TABLE lines (
        id INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
        path TEXT NOT NULL, epoch INTEGER NOT NULL, began_at REAL NOT NULL, ended_at REAL
    ) STRICT;
    CREATE UNIQUE INDEX lines_open ON lines (app_id, path) WHERE ended_at IS NULL;
    CREATE INDEX lines_of_app ON lines (app_id);
    CREATE TABLE points (
        id INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
        at REAL NOT NULL, kind TEXT NOT NULL, mark TEXT NOT NULL, by TEXT NOT NULL, note TEXT NOT NULL,
        version INTEGER NOT NULL, operation INTEGER, state TEXT NOT NULL, problem TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX points_of_app ON points (app_id, at);
    CREATE INDEX points_pending ON points (id) WHERE state = 'pending';
    CREATE TABLE captures (
        id INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
        at REAL NOT NULL, manifest TEXT NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL,
        problem TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX captures_of_app ON captures (app_id, at);
    CREATE TABLE drills (
        id INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
        at REAL NOT NULL, ok INTEGER NOT NULL, ms REAL NOT NULL, moment REAL NOT NULL, problem TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX drills_of_app ON drills (app_id, at);
    CREATE TABLE contents (sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL, at REAL NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, at REAL NOT NULL, target TEXT NOT NULL) STRICT;
    """,
    """
    ALTER TABLE captures ADD COLUMN seen_at REAL NOT NULL DEFAULT 0;
    ALTER TABLE captures ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
    """,
    # What somebody asked of an app's databases: the text alone, neither its parameters nor what it found.
    """
    CREATE TABLE statements (
        id INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
        principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE, at REAL NOT NULL, file TEXT NOT NULL,
        sql TEXT NOT NULL, write INTEGER NOT NULL, error TEXT NOT NULL, ms REAL NOT NULL
    ) STRICT;
    CREATE INDEX statements_of_person ON statements (app_id, principal_id, id);
    """,
    """
    CREATE TABLE stands (
        app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, path TEXT NOT NULL, line INTEGER NOT NULL,
        txid INTEGER NOT NULL, seen TEXT NOT NULL, at REAL NOT NULL, rests INTEGER NOT NULL, PRIMARY KEY (app_id, path)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE drills ADD COLUMN compared INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE drills ADD COLUMN stands TEXT NOT NULL DEFAULT '[]';
    """,
    # Apps of a recovered host whose data is not on it yet.
    """
    CREATE TABLE absences (
        app_id TEXT PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE, at REAL NOT NULL, here INTEGER NOT NULL,
        problem TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    # No reference: the app is gone.
    """
    CREATE TABLE remains (app_id TEXT PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';
    """,
    # All death cards, not only the last.
    """
    CREATE TABLE deaths (
        id INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
        at REAL NOT NULL, card TEXT NOT NULL
    ) STRICT;
    CREATE INDEX deaths_of_app ON deaths (app_id, id);
    INSERT INTO deaths (app_id, at, card)
        SELECT id, json_extract(last_death, '$.at'), last_death FROM apps WHERE last_death IS NOT NULL;
    ALTER TABLE apps DROP COLUMN last_death;
    """,
    # Networks from which nobody makes an app or an account.
    """
    CREATE TABLE blocks (
        id INTEGER PRIMARY KEY AUTOINCREMENT, network TEXT NOT NULL UNIQUE, reason TEXT NOT NULL, at REAL NOT NULL
    ) STRICT;
    """,
)

TELEMETRY = (
    """
    CREATE TABLE requests (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, request_id TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
        status INTEGER NOT NULL, error TEXT NOT NULL, client TEXT NOT NULL, request_bytes INTEGER NOT NULL,
        response_bytes INTEGER NOT NULL, gate_us INTEGER NOT NULL, app_us INTEGER NOT NULL, total_us INTEGER NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE samples (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, readings INTEGER NOT NULL, memory_bytes INTEGER NOT NULL,
        memory_peak_bytes INTEGER NOT NULL, cpu_seconds REAL NOT NULL, throttled_seconds REAL NOT NULL,
        processes INTEGER NOT NULL, sent_bytes INTEGER NOT NULL
    ) STRICT;
    """,
    "ALTER TABLE requests ADD COLUMN repeatable INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TABLE tallies (
        level INTEGER NOT NULL, at INTEGER NOT NULL, class INTEGER NOT NULL, requests INTEGER NOT NULL,
        errors INTEGER NOT NULL, PRIMARY KEY (level, at, class)
    ) STRICT, WITHOUT ROWID;
    """,
    # Headers, masked. `marked` are those of requests that failed or were slow.
    """
    ALTER TABLE requests ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE heads (
        request INTEGER PRIMARY KEY, marked INTEGER NOT NULL, asked TEXT NOT NULL, answered TEXT NOT NULL
    ) STRICT;
    CREATE INDEX heads_marked ON heads (request) WHERE marked;
    """,
)
