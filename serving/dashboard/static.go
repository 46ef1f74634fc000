package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed static
var embedded embed.FS

// asset is a file of the page, ready to send.
type asset struct {
	body   []byte
	zipped []byte // nil: not worth it
	etag   string
	typ    string
}

// assets reads the embedded files once: name without "static/" → asset.
var assets = sync.OnceValue(func() map[string]asset {
	out := map[string]asset{}
	walk := func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		typ := mime.TypeByExtension(path.Ext(name))
		switch path.Ext(name) { // the system's table may lack them
		case ".js":
			typ = "text/javascript; charset=utf-8"
		case ".css":
			typ = "text/css; charset=utf-8"
		case ".svg":
			typ = "image/svg+xml"
		case "", ".md":
			typ = "text/plain; charset=utf-8"
		}
		out[strings.TrimPrefix(name, "static/")] = asset{body: body, zipped: zip(body), etag: `"` + hex.EncodeToString(sum[:12]) + `"`, typ: typ}
		return nil
	}
	if err := fs.WalkDir(embedded, "static", walk); err != nil {
		panic(err) // the files are part of the program
	}
	return out
})

// assetVersion changes with any of the files.
var assetVersion = sync.OnceValue(func() string {
	hash := sha256.New()
	_ = fs.WalkDir(embedded, "static", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			hash.Write([]byte(name + assets()[strings.TrimPrefix(name, "static/")].etag))
		}
		return err
	})
	return hex.EncodeToString(hash.Sum(nil)[:8])
})

// zip compresses text; a saving under a tenth is not worth it.
func zip(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		return nil
	}
	if w.Close() != nil || b.Len() > len(body)*9/10 {
		return nil
	}
	return b.Bytes()
}

// loginAssets are what the login page needs before the token is given.
func loginAssets() []string {
	return []string{"/css/base.css", "/css/login.css", "/js/login.js", "/img/icon.svg"}
}

func staticRoutes(mux *http.ServeMux) {
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the dashboard only reads", http.StatusMethodNotAllowed)
		case r.URL.Path == "/":
			serveAsset(w, r, "index.html")
		default:
			serveAsset(w, r, strings.TrimPrefix(r.URL.Path, "/"))
		}
	})
}

// serveAsset sends a file of the page; the browser asks again each time and
// mostly gets 304.
func serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	a, ok := assets()[name]
	if !ok {
		http.Error(w, "no such page; the dashboard is at /", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("ETag", a.etag)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.typ)
	body := a.body
	if a.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	_, _ = w.Write(body) // the reader may have left
}
