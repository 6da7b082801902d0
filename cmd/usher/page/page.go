package page

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Stage is what the page shows and acts on. Its methods are safe for concurrent
// use.
type Stage interface {
	// State returns all that the page shows now.
	State(ctx context.Context) (State, error)
	// Log returns the entries of the time line with a greater Seq, oldest first and
	// at most limit, as far back as they are remembered; and a channel that is
	// closed as soon as there is another entry, or State may return something else.
	Log(after int64, limit int) (entries []Entry, changed <-chan struct{})
	// Do does a. What it refuses is an [*ActError].
	Do(ctx context.Context, a Act) error
}

// ActError is why an act cannot be done: Status is 400, 404 or 409, Text for people.
type ActError struct {
	Status int
	Text   string
}

// Error returns the text.
func (e *ActError) Error() string { return e.Text }

// Handler serves the page of a stage until it is closed.
type Handler struct {
	stage  Stage
	mux    *http.ServeMux
	origin *http.CrossOriginProtection
	slots  chan struct{} // one for each stream
	shown  shown

	over  chan struct{} // closed by Close
	close sync.Once
}

// New returns the page of a stage.
func New(stage Stage) (*Handler, error) {
	h := &Handler{
		stage: stage, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(), slots: make(chan struct{}, maxStreams),
		over: make(chan struct{}),
	}
	if err := h.serveFiles(); err != nil {
		return nil, err
	}
	h.mux.HandleFunc("GET /events", h.events)
	h.mux.HandleFunc("POST /act", h.act)
	return h, nil
}

// Close ends the streams of events, which do not end by themselves: a server waits
// for them when it stops.
func (h *Handler) Close() { h.close.Do(func() { close(h.over) }) }

// policy lets the page load what comes from here, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP answers browsers on this machine. One that was led here by another
// name (DNS rebinding), or by another site's page, is refused.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{
		"Content-Security-Policy":      policy,
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Embedder-Policy": "require-corp",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		w.Header().Set(name, value)
	}
	if !loopback(r.Host) {
		refuse(w, http.StatusMisdirectedRequest, "the demo answers to localhost and 127.0.0.1 only")
		return
	}
	if err := h.origin.Check(r); err != nil {
		refuse(w, http.StatusForbidden, "another site's page may not act here")
		return
	}
	h.mux.ServeHTTP(w, r)
}

// loopback tells whether a Host header names this machine.
func loopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if n := len(name); n > 2 && name[0] == '[' && name[n-1] == ']' {
		name = name[1 : n-1]
	}
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}

// refuse answers with why, for people.
func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why}) // whoever asked has gone
}
