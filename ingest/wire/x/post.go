package x

import (
	"strings"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/ingest/wire/scan"
)

// post is an object of data or of includes.tweets, as far as it is read.
type post struct {
	raw                     string
	id, created, lang       string
	text, note              string // as they stand
	author, answered, place string // ids; answered is a user
	kind                    string // of a reference: retweeted, quoted …
	likes, reposts          int64  // below 0: absent
	replies, views          int64  // below 0: absent
	refs                    span   // of page.refs
	entities                entities
	keys                    span // of page.words: media and polls attached
	edits                   span // of page.words: ids of the post's versions
	noteEntities            entities
	by                      user // of a flattened line
	inline                  bool // a reference that holds its post
	read                    bool // text and note were read, as said
	said                    string
}

// entities are what a text holds: parts of page.words.
type entities struct {
	tags, names, links, users span
	listed                    bool // they are told, were they none
}

// span is a part of one of the page's lists.
type span struct{ from, to int32 }

// ref is another post that one refers to.
type ref struct{ kind, id string }

// Types of reference, in both vocabularies.
const (
	typeReply   = "replied_to"
	typeQuote   = "quoted"
	typeRetweet = "retweeted"
	typeRepost  = "reposted"
)

// user is an object of includes.users.
type user struct {
	raw, id, name string
	followers     int64 // below 0: absent
}

// post reads a post, or a reference to one.
func (p *page) post(s *scan.Scanner) post {
	t := post{likes: -1, reposts: -1, replies: -1, views: -1, by: user{followers: -1}}
	from := s.Pos()
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		switch k {
		case "id":
			t.id = s.Str()
		case "type":
			t.kind = s.Str()
		case "text":
			t.text, t.inline = s.Value(), true
		case "created_at":
			t.created = s.Str()
		case "author_id":
			t.author = s.Str()
		case "in_reply_to_user_id":
			t.answered = s.Str()
		case "lang":
			t.lang = s.Str()
		case "public_metrics":
			metrics(s, &t)
		case "entities":
			t.entities = p.entities(s)
		case "note_tweet", "note_post":
			p.note(s, &t)
		case "referenced_tweets", "referenced_posts":
			t.refs = p.references(s)
		case "edit_history_tweet_ids", "edit_history_post_ids":
			t.edits = p.list(s)
		case "attachments":
			t.keys = p.attachments(s)
		case "geo":
			t.place = field(s, "place_id")
		case "author":
			t.by = p.user(s)
		default:
			s.Skip()
		}
	}
	t.raw = s.Part(from, s.Pos())
	return t
}

func metrics(s *scan.Scanner, t *post) {
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		switch k {
		case "like_count":
			t.likes = count(s)
		case "retweet_count", "repost_count":
			t.reposts = count(s)
		case "reply_count":
			t.replies = count(s)
		case "impression_count":
			t.views = count(s)
		default:
			s.Skip()
		}
	}
}

// count reads a count; -1 when it is none.
func count(s *scan.Scanner) int64 {
	if n, ok := s.Natural(); ok {
		return n
	}
	return -1
}

// field reads one string of an object.
func field(s *scan.Scanner, name string) (v string) {
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		if k == name {
			v = s.Str()
		} else {
			s.Skip()
		}
	}
	return v
}

// entities reads hashtags, names and ids of users mentioned, and addresses.
func (p *page) entities(s *scan.Scanner) (e entities) {
	e.listed = s.At() == '{'
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		switch k {
		case "hashtags":
			e.tags, _ = p.each(s, "tag", "", "")
		case "mentions":
			e.names, e.users = p.each(s, "username", "", "id")
		case "urls":
			e.links, _ = p.each(s, "expanded_url", "url", "")
		default:
			s.Skip()
		}
	}
	return e
}

// each keeps a field of every object of an array, or the next best of it, and
// the field beside it where wanted.
func (p *page) each(s *scan.Scanner, want, otherwise, beside string) (wanted, others span) {
	wanted.from = int32(len(p.words)) //nolint:gosec // an answer is shorter than 64 MiB
	p.spare = p.spare[:0]
	for ok := s.Enter('['); ok; ok = s.More(']') {
		var v, w, o string
		for in := s.Enter('{'); in; in = s.More('}') {
			k := s.Key()
			switch {
			case k == want:
				v = s.Str()
			case otherwise != "" && k == otherwise:
				w = s.Str()
			case beside != "" && k == beside:
				o = s.Str()
			default:
				s.Skip()
			}
		}
		if v == "" {
			v = w
		}
		if v != "" {
			p.words = append(p.words, v)
		}
		if o != "" {
			p.spare = append(p.spare, o)
		}
	}
	wanted.to = int32(len(p.words)) //nolint:gosec // as above
	p.words = append(p.words, p.spare...)
	return wanted, span{wanted.to, int32(len(p.words))} //nolint:gosec // as above
}

// list keeps the strings of an array.
func (p *page) list(s *scan.Scanner) span {
	from := int32(len(p.words)) //nolint:gosec // as above
	for ok := s.Enter('['); ok; ok = s.More(']') {
		if v := s.Str(); v != "" {
			p.words = append(p.words, v)
		}
	}
	return span{from, int32(len(p.words))} //nolint:gosec // as above
}

// attachments keeps the keys of media and polls.
func (p *page) attachments(s *scan.Scanner) span {
	out := span{from: int32(len(p.words))} //nolint:gosec // as above
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		if k == "media_keys" || k == "poll_ids" {
			p.list(s)
		} else {
			s.Skip()
		}
	}
	out.to = int32(len(p.words)) //nolint:gosec // as above
	return out
}

// note reads the whole text of a long post, with what is in it.
func (p *page) note(s *scan.Scanner, t *post) {
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		switch k {
		case "text":
			t.note = s.Value()
		case "entities":
			t.noteEntities = p.entities(s)
		default:
			s.Skip()
		}
	}
}

// references reads what a post refers to. In a flattened line the posts stand
// there themselves.
func (p *page) references(s *scan.Scanner) span {
	var own []ref
	for ok := s.Enter('['); ok; ok = s.More(']') {
		t := p.post(s)
		own = append(own, ref{t.kind, t.id})
		if t.inline {
			p.others = append(p.others, t)
		}
	}
	from := int32(len(p.refs)) //nolint:gosec // as above
	p.refs = append(p.refs, own...)
	return span{from, int32(len(p.refs))} //nolint:gosec // as above
}

// user reads a user.
func (p *page) user(s *scan.Scanner) user {
	u := user{followers: -1}
	from := s.Pos()
	for ok := s.Enter('{'); ok; ok = s.More('}') {
		k := s.Key()
		switch k {
		case "id":
			u.id = s.Str()
		case "username":
			u.name = s.Str()
		case "public_metrics":
			for in := s.Enter('{'); in; in = s.More('}') {
				k := s.Key()
				if k == "followers_count" {
					u.followers = count(s)
				} else {
					s.Skip()
				}
			}
		default:
			s.Skip()
		}
	}
	u.raw = s.Part(from, s.Pos())
	return u
}

// kindOf is what the references make of a post, and which posts they are.
func kindOf(refs []ref, to *feedlake.Post) {
	to.Kind = feedlake.KindPost
	for _, r := range refs {
		switch r.kind {
		case typeReply:
			to.ReplyTo = r.id
		case typeQuote:
			to.QuoteOf = r.id
		case typeRetweet, typeRepost:
			to.RepostOf = r.id
		}
	}
	related(to)
}

// plain undoes the escapes that X puts into texts; it knows no others.
func plain(s string) string {
	if strings.IndexByte(s, '&') < 0 {
		return s
	}
	return escapes.Replace(s)
}

// escapes are those that X makes.
var escapes = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")
