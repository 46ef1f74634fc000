package frontier

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/feedlake/feedlake"
)

// Rejects are marks of records that were rejected: a listing that is read again
// shows them again. Those that came in the pass under way stand before an empty
// mark, those of passes before behind it. The zero value is ready.
type Rejects []string

// mostRejects bounds Rejects, in a pass. A listing with more of them has a fault
// that nobody overlooks.
const mostRejects = 500

// Fresh returns the rejects that did not come before, and the marks after them.
func (m Rejects) Fresh(rejects []feedlake.Reject) (fresh []feedlake.Reject, next Rejects) {
	if len(rejects) == 0 {
		return nil, m
	}
	met, old := m.parts()
	for _, r := range rejects {
		v := mark(r)
		known := slices.Contains(met, v)
		if !known && slices.Contains(old, v) {
			known = true
			met = append(met, v)
		}
		if !known {
			fresh, met = append(fresh, r), append(met, v)
		}
	}
	met = met[max(0, len(met)-mostRejects):]
	if len(old) > 0 {
		met = append(append(met, ""), old...)
	}
	return fresh, met
}

// parts are the marks of this pass and those of the ones before, as copies.
func (m Rejects) parts() (met, old Rejects) {
	i := slices.Index(m, "")
	if i < 0 {
		return slices.Clone(m), nil
	}
	return slices.Clone(m[:i]), slices.Clone(m[i+1:])
}

// Landed returns the marks when a pass is at its end: what it did not meet lies
// behind it.
func (m Rejects) Landed() Rejects {
	met, _ := m.parts()
	if len(met) == 0 {
		return nil
	}
	return append(Rejects{""}, met...)
}

// mark names a record by its id, where it has one: the rest of it may change.
// Otherwise by all of it.
func mark(r feedlake.Reject) string {
	what := cmp.Or(r.Payload, r.Position)
	for _, v := range gjson.GetMany(r.Payload, "id", "id_str", "data.id", "uri", "post.uri", "objectID", "name") {
		if v.Type == gjson.String || v.Type == gjson.Number {
			what = v.String()
			break
		}
	}
	return short(crc32.ChecksumIEEE([]byte(what+"\x00"+r.Reason)), 4)
}

// short spells some bytes of a number for a cursor, which holds many.
func short(n uint32, bytes int) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, n)[4-bytes:])
}
