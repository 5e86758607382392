-- Copyright (C) 2026 the mod_authn_token authors
-- SPDX-License-Identifier: Apache-2.0
--
-- The native table of mod_authn_token, which needs SQLite 3.35 or later.
-- httpd and "httoken init" make it by themselves; t/unit/schema.t compares the
-- two.  It may be run again at any time and changes nothing that is there.
-- In a new file they also set "PRAGMA journal_mode=WAL", which it keeps, so
-- that reading and writing pass each other.
--
-- Moments are whole seconds since 1970-01-01 UTC.  To read them:
--     SELECT substr(digest, 1, 16) AS id, username, client,
--         datetime(expires_at, 'unixepoch') FROM auth_token;

-- One row is one token that was issued.  The token itself is in no column.
CREATE TABLE IF NOT EXISTS auth_token (
    -- SHA-256 of the token in lower-case hex.  Its first 16 digits are the
    -- token's public id, in lists, logs and AUTHENTICATE_TOKEN_ID.
    digest text PRIMARY KEY NOT NULL,

    -- Whose token it is: REMOTE_USER of requests that carry it.
    username text NOT NULL,

    -- Which of the user's programs it was given to, as the login said; ''
    -- when it said nothing.
    client text NOT NULL DEFAULT '',

    -- What it may be used for: words separated by one blank, or ''.
    scope text NOT NULL DEFAULT '',

    -- Where it may be used from: IPv4 and IPv6 addresses or ranges, such as
    -- 192.0.2.0/24, with one blank between; '' is everywhere.  What is none
    -- of these refuses the token.
    networks text NOT NULL DEFAULT '',

    -- The id of the first token in the chain of rotations that this one
    -- belongs to; its own id when it came from a login or "httoken create".
    family text NOT NULL,

    -- When it was issued; written once.
    created_at integer NOT NULL,

    -- The first second at which it is no longer good; written once.
    expires_at integer NOT NULL,

    -- When a request last carried it; NULL: never, or not written yet.
    last_used_at integer,

    -- When another token took its place by rotation; NULL: it did not.
    superseded_at integer,

    -- When it was revoked, by its user, an administrator or the module; NULL:
    -- it is not.  Never goes back to NULL.
    revoked_at integer,

    -- Seconds without use after which it ends before expires_at; NULL: none.
    idle_timeout integer
);

-- A user's tokens: lists, and revoking all of them.
CREATE INDEX IF NOT EXISTS auth_token_username ON auth_token (username);

-- Revoking a family.
CREATE INDEX IF NOT EXISTS auth_token_family ON auth_token (family);

-- Throwing away what ended long ago.
CREATE INDEX IF NOT EXISTS auth_token_expires_at ON auth_token (expires_at);

-- What was revoked lately: few rows of many.
CREATE INDEX IF NOT EXISTS auth_token_revoked_at ON auth_token (revoked_at)
    WHERE revoked_at IS NOT NULL;

-- What was rotated lately.
CREATE INDEX IF NOT EXISTS auth_token_superseded_at
    ON auth_token (superseded_at) WHERE superseded_at IS NOT NULL;

-- What happened to tokens, where AuthTokenAudit is On, and by httoken.  Rows
-- are only ever added.
CREATE TABLE IF NOT EXISTS auth_token_event (
    -- When, by the database's clock.
    at integer NOT NULL,

    -- issued, rotated, revoked, evicted or reused.
    event text NOT NULL,

    -- The token's public name, the first 16 digits of its digest.
    id text NOT NULL,

    -- Its user.
    username text NOT NULL,

    -- Which of his programs it was given to.
    client text NOT NULL,

    -- Where the request came from; '' for httoken.
    address text NOT NULL
);

-- What happened to a user's tokens.
CREATE INDEX IF NOT EXISTS auth_token_event_username
    ON auth_token_event (username, at);

-- What happened when, and throwing away what is too old.
CREATE INDEX IF NOT EXISTS auth_token_event_at ON auth_token_event (at);
