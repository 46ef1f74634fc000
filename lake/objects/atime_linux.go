package objects

import (
	"io/fs"
	"syscall"
	"time"
)

// accessed is the time of the last use.
func accessed(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Atim.Unix())
	}
	return info.ModTime()
}
