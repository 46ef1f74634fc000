-- Spark's functions for DuckDB: what the models of sql/ may call beyond the names
-- that both engines share. Each answers as Spark does for the arguments that the
-- rules of sql/dialect_test.go allow.
create or replace macro explode(x) as unnest(x);
create or replace macro size(x) as len(x);
create or replace macro regexp_like(s, p) as regexp_matches(s, p);
-- Capitals of ASCII are where a text differs from itself in lower case.
create or replace macro regexp_count(s, p) as case when p = '\p{Lu}' and strlen(s) = length(s) and s <> '' then hamming(s, lower(s))
  else len(regexp_extract_all(s, p, 0)) end;
create or replace macro regexp_replace(s, p, r) as system.main.regexp_replace(s, p, r, 'g');
create or replace macro octet_length(s) as strlen(s);
create or replace macro locate(sub, s) as instr(s, sub);
create or replace macro startswith(s, p) as starts_with(s, p);
create or replace macro sha2(s, n) as case n when 256 then sha256(s) else error('sha2: only 256') end;
create or replace macro nvl(a, b) as coalesce(a, b);
create or replace macro pmod(a, n) as ((a % n) + n) % n;
create or replace macro unix_seconds(ts) as cast(floor(epoch_us(ts) / 1000000) as bigint);
create or replace macro unix_micros(ts) as epoch_us(ts);
create or replace macro timestamp_seconds(x) as to_timestamp(cast(x as bigint));
create or replace macro datediff(b, a) as cast(date_diff('day', a, b) as integer);
create or replace macro date_add(d, n) as cast(d + to_days(n) as date);
create or replace macro add_months(d, n) as cast(d + to_months(n) as date);
create or replace macro dayofweek(d) as (isodow(d) % 7) + 1;
create or replace macro weekday(d) as isodow(d) - 1;
create or replace macro to_date(s) as cast(s as date);
create or replace macro sort_array(x) as list_sort(x);
create or replace macro array_join(x, sep) as array_to_string(x, sep);
create or replace macro element_at(x, i) as list_extract(x, i);
create or replace macro slice(x, s, n) as x[s : s + n - 1];
create or replace macro sequence(a, b) as generate_series(a, b);
create or replace macro collect_list(x) as list(x) filter (where x is not null);
