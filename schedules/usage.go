package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Usage is what an account used in a period: requests, posts, and millionths of
// a dollar.
type Usage struct{ Requests, Posts, Micros int64 }

// Plus adds two usages.
func (u Usage) Plus(v Usage) Usage {
	return Usage{u.Requests + v.Requests, u.Posts + v.Posts, u.Micros + v.Micros}
}

// Limit is a rate limit as the other side told it: so many requests until the
// reset.
type Limit struct {
	Remaining int64
	Reset     time.Time
}

// Spend adds use to the account in each of the periods, for every process that
// opens the ledger, after these two allowed it: the rate limit of the endpoint,
// which gives the time to wait for and counts nothing, and check, which sees what
// each period has used so far and whose error is returned. Nothing is added
// then. After a connection broke, use may be counted twice, never not at all.
func (l *Ledger) Spend(ctx context.Context, account, endpoint string, periods []string, use Usage, check func(used []Usage) error) (until time.Time, err error) {
	now := l.now().UTC()
	err = l.tx(ctx, func(q querier) error {
		until = time.Time{}
		limit, err := readLimit(ctx, q, account, endpoint)
		if err != nil {
			return err
		}
		if now.Before(limit.Reset) && limit.Remaining < use.Requests {
			until = limit.Reset
			return nil
		}
		used := make([]Usage, len(periods))
		for i, p := range periods {
			if used[i], err = readUsage(ctx, q, account, p); err != nil {
				return err
			}
		}
		if check != nil {
			if err := check(used); err != nil {
				return err
			}
		}
		if now.Before(limit.Reset) {
			limit.Remaining -= use.Requests
			if err := writeLimit(ctx, q, account, endpoint, limit); err != nil {
				return err
			}
		}
		return addUsage(ctx, q, account, periods, use)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("count use of %s: %w", account, err)
	}
	return until, nil
}

// Settle adds a difference, which may be negative, to what an account used.
func (l *Ledger) Settle(ctx context.Context, account string, periods []string, difference Usage) error {
	err := l.tx(ctx, func(q querier) error { return addUsage(ctx, q, account, periods, difference) })
	if err != nil {
		return fmt.Errorf("count use of %s: %w", account, err)
	}
	return nil
}

// Used is what an account used in a period.
func (l *Ledger) Used(ctx context.Context, account, period string) (u Usage, err error) {
	err = l.read(ctx, func(q querier) (err error) {
		u, err = readUsage(ctx, q, account, period)
		return err
	})
	return u, err
}

// Limited notes what an answer said of a rate limit; merge sees what is known of
// it already.
func (l *Ledger) Limited(ctx context.Context, account, endpoint string, merge func(known Limit) Limit) error {
	err := l.tx(ctx, func(q querier) error {
		known, err := readLimit(ctx, q, account, endpoint)
		if err != nil {
			return err
		}
		return writeLimit(ctx, q, account, endpoint, merge(known))
	})
	if err != nil {
		return fmt.Errorf("note limit of %s: %w", account, err)
	}
	return nil
}

func readUsage(ctx context.Context, q querier, account, period string) (u Usage, err error) {
	err = q.QueryRowContext(ctx, "select requests, posts, micros from usage where account = ? and period = ?", account, period).Scan(&u.Requests, &u.Posts, &u.Micros)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return u, err
}

func addUsage(ctx context.Context, q querier, account string, periods []string, u Usage) error {
	for _, p := range periods {
		_, err := q.ExecContext(ctx, `insert into usage (account, period, requests, posts, micros) values (?, ?, ?, ?, ?)
			on conflict (account, period) do update set requests = usage.requests + excluded.requests, posts = usage.posts + excluded.posts,
				micros = usage.micros + excluded.micros`, account, p, u.Requests, u.Posts, u.Micros)
		if err != nil {
			return err
		}
	}
	return nil
}

func readLimit(ctx context.Context, q querier, account, endpoint string) (l Limit, err error) {
	var reset string
	err = q.QueryRowContext(ctx, "select remaining, reset from limits where account = ? and endpoint = ?", account, endpoint).Scan(&l.Remaining, &reset)
	if errors.Is(err, sql.ErrNoRows) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	l.Reset, err = unstamp(reset)
	return l, err
}

func writeLimit(ctx context.Context, q querier, account, endpoint string, l Limit) error {
	_, err := q.ExecContext(ctx, `insert into limits (account, endpoint, remaining, reset) values (?, ?, ?, ?)
		on conflict (account, endpoint) do update set remaining = excluded.remaining, reset = excluded.reset`, account, endpoint, l.Remaining, stamp(l.Reset))
	return err
}
