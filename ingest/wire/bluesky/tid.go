package bluesky

import (
	"strings"
	"time"
)

// tidLetters spell a TID, five bits each, in the order of their values
// (atproto.com/specs/tid).
const tidLetters = "234567abcdefghijklmnopqrstuvwxyz"

// tidLength is that of every TID.
const tidLength = 13

// TID is the moment that a timestamp identifier, the usual key of a record, was
// made at. The client made it, as it did createdAt: the two may differ a little.
func TID(s string) (time.Time, bool) {
	if len(s) != tidLength || strings.IndexByte(tidLetters[:16], s[0]) < 0 {
		return time.Time{}, false
	}
	var n int64 // the top bit is 0: see the first letter
	for i := range tidLength {
		v := strings.IndexByte(tidLetters, s[i])
		if v < 0 {
			return time.Time{}, false
		}
		n = n<<5 | int64(v)
	}
	return time.UnixMicro(n >> 10).UTC(), true // below are the bits of the clock's number
}
