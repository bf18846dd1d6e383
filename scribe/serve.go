package scribe

import (
	"net/http"
	"strings"

	"filippo.io/torchwood"
)

// Handle serves the log as c2sp.org/tlog-tiles: GET /checkpoint and GET /tile/...
func (l *Log) Handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /checkpoint", l.serveCheckpoint)
	mux.HandleFunc("GET /tile/", l.serveTile)
}

func (l *Log) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*") // browsers read the log too
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	http.ServeFileFS(w, r, l.files, "checkpoint")
}

func (l *Log) serveTile(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if _, err := torchwood.ParseTilePath(path); err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", "public, max-age=604800, immutable")
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeFileFS(w, r, l.files, path)
}
