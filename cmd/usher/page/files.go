package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// errType reports a file that the page has no use for.
var errType = errors.New("not a type that the page serves")

// contentType returns the type of a file of the page, "" for one that has no
// business there. The system's table is not asked: it differs.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".woff2":
		return "font/woff2"
	}
	return ""
}

// serveFiles routes the files of the page; index.html is /.
func (h *Handler) serveFiles() error {
	return fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind := contentType(name)
		if kind == "" {
			return fmt.Errorf("%s: %w", name, errType)
		}
		content, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		route := strings.TrimPrefix(name, "assets")
		if route == "/index.html" {
			route = "/{$}"
		}
		h.mux.Handle("GET "+route, file(kind, content))
		return nil
	})
}

// file serves a file that a browser may keep, but must ask for each time: another
// version of the program has another one.
func file(kind string, content []byte) http.HandlerFunc {
	sum := sha256.Sum256(content)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}
