package frontier

import (
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/feedlake/feedlake"
)

// Version is a short mark of what a post says: its text, its counts and whether it
// is there. Two versions that differ in nothing else, such as in the time of
// observation or in the language that the network guesses, have the same one.
func Version(p *feedlake.Post) string {
	own := *p
	own.Own()
	var s strings.Builder
	s.WriteString(own.Text)
	s.WriteByte(0)
	for _, n := range [...]*int64{own.Likes, own.Reposts, own.Replies, own.Views} {
		if n != nil {
			s.WriteString(strconv.FormatInt(*n, 10))
		}
		s.WriteByte(0)
	}
	s.WriteString(strconv.FormatBool(own.Deleted))
	return short(crc32.ChecksumIEEE([]byte(s.String())), 3)
}
