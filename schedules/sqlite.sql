-- The ledger: who is alive, what ran, its steps, and up to when each plan has been looked at.
-- Instants are UTC text that sorts; '' is none.
create table sessions (
  id   integer primary key autoincrement, -- never reused: an old holder cannot be taken for a new one
  host text not null,
  pid  integer not null,
  boot text not null,
  born text not null,
  beat text not null
) strict;

create table runs (
  seq       integer primary key,
  id        text not null unique,
  job       text not null,
  lock      text not null,
  win_start text not null,
  win_end   text not null,
  due       text not null,
  try       integer not null,
  state     text not null,
  started   text not null,
  ended     text not null,
  session   integer, -- the row of sessions that runs it, or ran it
  host      text not null,
  pid       integer not null,
  error     text not null,
  place     integer not null default 0 -- in the order in which runs ended; 0 until it has
) strict;
create index runs_by_due on runs (job, due);
create index runs_by_state on runs (state);
create index runs_by_place on runs (place);

create table steps (
  run      text not null references runs (id) on delete cascade,
  job      text not null,
  try      integer not null,
  state    text not null,
  started  text not null,
  ended    text not null,
  rows_in  integer not null,
  rows_out integer not null,
  rejects  integer not null,
  detail   text not null,
  error    text not null,
  kind     text not null default '', -- what the job does
  primary key (run, job)
) strict;

create table plans (
  name text primary key,
  upto text not null -- every due instant up to here is a row of runs, or was skipped
) strict;

-- What accounts used of something that is bounded, by period, such as a day.
create table usage (
  account  text not null,
  period   text not null,
  requests integer not null,
  posts    integer not null,
  micros   integer not null, -- millionths of a dollar
  primary key (account, period)
) strict;

-- Rate limits as the other side told them last.
create table limits (
  account   text not null,
  endpoint  text not null,
  remaining integer not null,
  reset     text not null,
  primary key (account, endpoint)
) strict;

-- The locks that are held and waited for, granted in the order of tickets; a claim for several has a row for each.
create table locks (
  ticket    integer not null,
  lock      text not null,
  win_start text not null,
  win_end   text not null,
  shard     integer not null, -- of so many shards; 0 of 0 is the whole
  shards    integer not null,
  session   integer not null, -- whose claim goes with it
  run       text not null,    -- '' outside of runs
  work      text not null,
  since     text not null,
  held      integer not null, -- 0 while it waits
  primary key (ticket, lock)
) strict;

-- The shards of steps that are not done in whole; a step without rows is.
create table shards (
  step  text not null,
  shard integer not null,
  of    integer not null,
  run   text not null, -- that did it last
  done  integer not null,
  primary key (step, shard)
) strict;

pragma user_version = 4;
