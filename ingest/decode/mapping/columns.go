package mapping

import (
	"time"

	"github.com/feedlake/feedlake"
)

// column is a column of a post that a mapping can fill: one of its functions is
// set, by the column's type.
type column struct {
	order int
	text  func(*feedlake.Post) *string
	list  func(*feedlake.Post) *[]string
	count func(*feedlake.Post) **int64
	truth func(*feedlake.Post) *bool
	time  func(*feedlake.Post) *time.Time
	lower bool     // stored in lower case, as a language tag
	oneOf []string // the accepted values
	strip byte     // a mark that items of a list may carry
	keys  []string // that hold the text of an item which is an object
	ident bool     // an id, which some programs write as a number
	must  bool     // without it there is no post: a bad value is not left out
}

// columns lists what a mapping can fill; payload and run_id are not for it.
func columns() map[string]column {
	type post = feedlake.Post
	m := map[string]column{
		"source":           {text: func(p *post) *string { return &p.Source }, must: true},
		"id":               {text: func(p *post) *string { return &p.ID }, must: true, ident: true},
		"uri":              {text: func(p *post) *string { return &p.URI }},
		"kind":             {must: true, text: func(p *post) *string { return &p.Kind }, oneOf: []string{feedlake.KindPost, feedlake.KindReply, feedlake.KindRepost, feedlake.KindQuote, feedlake.KindComment}},
		"author_id":        {text: func(p *post) *string { return &p.AuthorID }, ident: true},
		"author_name":      {text: func(p *post) *string { return &p.AuthorName }},
		"author_followers": {count: func(p *post) **int64 { return &p.AuthorFollowers }},
		"created_at":       {time: func(p *post) *time.Time { return &p.CreatedAt }, must: true},
		"observed_at":      {time: func(p *post) *time.Time { return &p.ObservedAt }},
		"text":             {text: func(p *post) *string { return &p.Text }},
		"lang":             {text: func(p *post) *string { return &p.Lang }, lower: true},
		"hashtags":         {list: func(p *post) *[]string { return &p.Hashtags }, strip: '#', keys: []string{"tag", "text", "name", "hashtag"}},
		"mentions":         {list: func(p *post) *[]string { return &p.Mentions }, strip: '@', keys: []string{"username", "screen_name", "acct", "handle", "name"}},
		"urls":             {list: func(p *post) *[]string { return &p.URLs }, keys: []string{"expanded_url", "url", "href"}},
		"reply_to":         {text: func(p *post) *string { return &p.ReplyTo }, ident: true},
		"repost_of":        {text: func(p *post) *string { return &p.RepostOf }, ident: true},
		"quote_of":         {text: func(p *post) *string { return &p.QuoteOf }, ident: true},
		"likes":            {count: func(p *post) **int64 { return &p.Likes }},
		"reposts":          {count: func(p *post) **int64 { return &p.Reposts }},
		"replies":          {count: func(p *post) **int64 { return &p.Replies }},
		"views":            {count: func(p *post) **int64 { return &p.Views }},
		"deleted":          {truth: func(p *post) *bool { return &p.Deleted }, must: true},
		"query":            {text: func(p *post) *string { return &p.Query }},
	}
	for i, name := range []string{"source", "id", "created_at"} { // their faults are told first
		c := m[name]
		c.order = i - 3
		m[name] = c
	}
	return m
}
