package schedules

// sqliteVersion1 is a ledger as version 1 made it, with a run, its step and a
// plan.
const sqliteVersion1 = `
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
  error     text not null
) strict;
create index runs_by_due on runs (job, due);
create index runs_by_state on runs (state);

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
  primary key (run, job)
) strict;

create table plans (
  name text primary key,
  upto text not null -- every due instant up to here is a row of runs, or was skipped
) strict;

pragma user_version = 1;

insert into sessions values (1, 'h', 7, 'b', 'x', '2016-10-06T10:15:00.000000Z');
insert into runs values (1, '20161006T101500Z-1', 'nightly', 'lake', '2016-10-05T00:00:00.000000Z', '2016-10-06T00:00:00.000000Z', '', 1, 'done',
  '2016-10-06T10:15:00.000000Z', '2016-10-06T10:16:00.000000Z', 1, 'h', 7, '');
insert into steps values ('20161006T101500Z-1', 'ingest', 1, 'done', '2016-10-06T10:15:00.000000Z', '2016-10-06T10:16:00.000000Z', 7, 5, 2, '2 files', '');
insert into plans values ('hourly', '2016-10-06T10:00:00.000000Z');
`
