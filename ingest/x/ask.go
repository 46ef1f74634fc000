package x

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest"
	"github.com/feedlake/feedlake/ingest/api"
	"github.com/feedlake/feedlake/ingest/wire"
	"github.com/feedlake/feedlake/ingest/wire/x"
)

// Prices since February 2026, in millionths of a dollar
// (docs.x.com/x-api/getting-started/pricing).
const (
	pricePost         = 5_000
	priceCountsRecent = 5_000
	priceCountsAll    = 10_000
	priceUser         = 10_000
)

// asker is what all modes share.
type asker struct {
	env    ingest.Env
	cfg    Config
	client *api.Client
	o      api.Options // of the client
}

// fields asks for everything that is known of posts.
func (a *asker) fields() url.Values {
	refs, metrics := "referenced_tweets", "edit_history_tweet_ids"
	long := "note_tweet"
	if a.cfg.Vocabulary == "post" {
		refs, metrics, long = "referenced_posts", "edit_history_post_ids", "note_post"
	}
	return url.Values{
		a.cfg.Vocabulary + ".fields": {strings.Join([]string{
			"attachments", "author_id", "context_annotations", "conversation_id", "created_at", "edit_controls", metrics, "entities", "geo", "id", "in_reply_to_user_id",
			"lang", long, "possibly_sensitive", "public_metrics", refs, "reply_settings", "source", "text", "withheld",
		}, ",")},
		"expansions": {strings.Join([]string{
			"attachments.media_keys", "attachments.poll_ids", "author_id", metrics, "entities.mentions.username", "geo.place_id", "in_reply_to_user_id",
			refs + ".id", refs + ".id.author_id",
		}, ",")},
		"user.fields":  {"created_at,description,entities,id,location,name,pinned_" + a.cfg.Vocabulary + "_id,profile_image_url,protected,public_metrics,url,username,verified,verified_type,withheld"},
		"media.fields": {"alt_text,duration_ms,height,media_key,preview_image_url,public_metrics,type,url,variants,width"},
		"poll.fields":  {"duration_minutes,end_datetime,id,options,voting_status"},
		"place.fields": {"contained_within,country,country_code,full_name,geo,id,name,place_type"},
	}
}

// posts asks for so many posts at most, and reads the answer into b.
func (a *asker) posts(ctx context.Context, path, endpoint string, q url.Values, most int, b *wire.Batch) (x.Meta, error) {
	maps.Copy(q, a.fields())
	answer, err := a.client.Do(ctx, api.Call{Endpoint: endpoint, Path: path, Query: q, Posts: int64(most), Price: api.Price{Post: pricePost}})
	if err != nil {
		return x.Meta{}, err
	}
	var read wire.Batch
	m := x.Page(string(answer.Body), a.env.Now().UTC(), endpoint+" "+place(q), &read)
	if err := answer.Settle(ctx, m.Results); err != nil {
		return m, err
	}
	if m.Broken {
		return m, &feedlake.RetryError{Err: fmt.Errorf("read answer of %s: %s", endpoint, read.Rejects[0].Reason)}
	}
	a.own(&read)
	b.Posts, b.Rejects = append(b.Posts, read.Posts...), append(b.Rejects, read.Rejects...)
	return m, nil
}

// own puts the source's name on what was read.
func (a *asker) own(b *wire.Batch) {
	for i := range b.Posts {
		b.Posts[i].Source = a.env.Name
	}
	for i := range b.Rejects {
		b.Rejects[i].Source = a.env.Name
	}
}

// place tells requests apart, for people.
func place(q url.Values) string {
	var out []string
	for _, k := range []string{"start_time", "end_time", "since_id", "until_id", "next_token", "pagination_token"} {
		if v := q.Get(k); v != "" {
			out = append(out, k+"="+v)
		}
	}
	return strings.Join(out, " ")
}

// limit reads the headers x-rate-limit-*. The reset is a time of X's clock, which
// the header Date tells: ours may go wrong.
func limit(h http.Header, now time.Time) (ingest.Limit, bool) {
	left, err := strconv.ParseInt(h.Get("X-Rate-Limit-Remaining"), 10, 64)
	reset, err2 := strconv.ParseInt(h.Get("X-Rate-Limit-Reset"), 10, 64)
	if err != nil || err2 != nil {
		return ingest.Limit{}, false
	}
	return ingest.Limit{Remaining: left, Reset: time.Unix(reset, 0).UTC().Add(-api.Ahead(h, now))}, true
}

// errToken says that a token for the next page is not good, or no longer.
var errToken = errors.New("the token of the next page has expired")

// fault tells what stops an account, which X says with many statuses, 429 among
// them, from what another try cures.
func fault(a api.Answer, now time.Time) error {
	if a.Status < 400 {
		return nil
	}
	r := gjson.GetManyBytes(a.Body, "type", "title", "detail", "period", "errors.#.parameters")
	kind, title, period := r[0].Str[strings.LastIndexByte(r[0].Str, '/')+1:], r[1].Str, strings.ToLower(r[3].Str)
	said := fmt.Errorf("answer %d: %s", a.Status, a.Excerpt())
	switch {
	case kind == "usage-capped" || title == "UsageCapExceeded":
		return feedlake.Hint(fmt.Errorf("the cap of the account is used up; goes on %s: %w: %w", renewed(period, now).Format(time.RFC3339), said, feedlake.ErrPartial),
			"the developer console of X shows the cap, and raises it")
	case a.Status == http.StatusPaymentRequired || kind == "credits" || title == "CreditsDepleted":
		return feedlake.Hint(fmt.Errorf("the account has no credits; goes on when there are some: %w: %w", said, feedlake.ErrPartial), "buy credits in the developer console of X")
	case kind == "client-forbidden":
		return feedlake.Hint(fmt.Errorf("the app may not ask this; goes on when it may: %w: %w", said, feedlake.ErrPartial),
			"the app must belong to a project, and its account be allowed to use this part of the API: see the developer console of X")
	case a.Status == http.StatusBadRequest && strings.Contains(r[4].Raw, "_token"):
		return fmt.Errorf("%w: %w: %w", errToken, said, feedlake.ErrRejected)
	case a.Status == http.StatusBadRequest && strings.Contains(r[4].Raw, `"query"`):
		return feedlake.Hint(fmt.Errorf("%w: %w", said, feedlake.ErrConfig), "look at the query: docs.x.com/x-api/posts/search/integrate/build-a-query")
	}
	return nil
}

// renewed is when a cap begins anew. X counts days and months in UTC.
func renewed(period string, now time.Time) time.Time {
	now = now.UTC()
	if period == "daily" {
		return time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
}

// Probe looks at the token, at what of the account's cap is left, and at the
// search. Only the last has a price, that of a count.
func (a *asker) Probe(ctx context.Context) []ingest.Finding {
	answer, err := a.client.Do(ctx, api.Call{Endpoint: "usage/tweets", Path: "usage/tweets"})
	if err != nil {
		return []ingest.Finding{ingest.Found("token", "", err, "")}
	}
	r := gjson.GetManyBytes(answer.Body, "data.project_usage", "data.project_cap", "data.cap_reset_day")
	out := []ingest.Finding{{What: "token", OK: true, Says: fmt.Sprintf("%s of %s posts of the cap used; it begins anew on day %s of the month", r[0], r[1], r[2])}}
	if a.cfg.Mode == modeRecent || a.cfg.Mode == modeAll {
		n, _, err := a.count(ctx, feedlake.Window{})
		out = append(out, ingest.Found("search", fmt.Sprintf("%d posts", n), err, ""))
	}
	return out
}
