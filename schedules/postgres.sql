-- The ledger, as in sqlite.sql, in a schema of its own; names are found by search_path.
-- Text is compared byte by byte, so that instants sort in every database.
create table sessions (
  id   bigint generated always as identity primary key, -- never reused: an old holder cannot be taken for a new one
  host text not null,
  pid  bigint not null,
  boot text not null,
  born text not null,
  beat text collate "C" not null
);

create table runs (
  seq       bigint primary key,
  id        text collate "C" not null unique,
  job       text collate "C" not null,
  lock      text collate "C" not null,
  win_start text collate "C" not null,
  win_end   text collate "C" not null,
  due       text collate "C" not null,
  try       bigint not null,
  state     text collate "C" not null,
  started   text collate "C" not null,
  ended     text collate "C" not null,
  session   bigint, -- the row of sessions that runs it, or ran it
  host      text not null,
  pid       bigint not null,
  error     text not null,
  place     bigint not null default 0 -- in the order in which runs ended; 0 until it has
);
create index runs_by_due on runs (job, due);
create index runs_by_state on runs (state);
create index runs_by_place on runs (place);

create table steps (
  rowid    bigint generated always as identity, -- the order in which they began; SQLite has it without being told
  run      text collate "C" not null references runs (id) on delete cascade,
  job      text collate "C" not null,
  try      bigint not null,
  state    text collate "C" not null,
  started  text collate "C" not null,
  ended    text collate "C" not null,
  rows_in  bigint not null,
  rows_out bigint not null,
  rejects  bigint not null,
  detail   text not null,
  error    text not null,
  kind     text not null default '', -- what the job does
  primary key (run, job)
);

create table plans (
  name text collate "C" primary key,
  upto text collate "C" not null -- every due instant up to here is a row of runs, or was skipped
);

create table usage (
  account  text collate "C" not null,
  period   text collate "C" not null,
  requests bigint not null,
  posts    bigint not null,
  micros   bigint not null, -- millionths of a dollar
  primary key (account, period)
);

create table limits (
  account   text collate "C" not null,
  endpoint  text collate "C" not null,
  remaining bigint not null,
  reset     text collate "C" not null,
  primary key (account, endpoint)
);

-- The locks that are held and waited for, granted in the order of tickets; a claim for several has a row for each.
create table locks (
  ticket    bigint not null,
  lock      text collate "C" not null,
  win_start text collate "C" not null,
  win_end   text collate "C" not null,
  shard     bigint not null, -- of so many shards; 0 of 0 is the whole
  shards    bigint not null,
  session   bigint not null, -- whose claim goes with it
  run       text collate "C" not null,    -- '' outside of runs
  work      text collate "C" not null,
  since     text collate "C" not null,
  held      bigint not null, -- 0 while it waits
  primary key (ticket, lock)
);

-- The shards of steps that are not done in whole; a step without rows is.
create table shards (
  step  text collate "C" not null,
  shard bigint not null,
  of    bigint not null,
  run   text collate "C" not null, -- that did it last
  done  bigint not null,
  primary key (step, shard)
);

create table ledger (version bigint not null);
insert into ledger values (4);
