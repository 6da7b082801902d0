package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Bounds of a stream of events.
const (
	maxStreams = 32                     // at a time
	maxBatch   = 200                    // entries written in one go
	pace       = 50 * time.Millisecond  // between two states
	look       = time.Second            // some things change by time alone
	heartbeat  = 15 * time.Second       // a comment, where nothing else is to be said
	stall      = 10 * time.Second       // who takes nothing for so long is dropped
	retry      = 500 * time.Millisecond // when a browser comes back
)

// events is GET /events. Last-Event-ID is the last entry that the reader has.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		refuse(w, http.StatusServiceUnavailable, "too many pages are open")
		return
	}
	s := stream{Handler: h, out: w, control: http.NewResponseController(w)}
	if last, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		s.after = last
	}
	// The server's own bound is meant for requests.
	if err := s.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintf(&s.buf, "retry: %d\n\n", retry.Milliseconds())
	s.run(r.Context())
}

// stream is one reader.
type stream struct {
	*Handler

	out     http.ResponseWriter
	control *http.ResponseController
	buf     bytes.Buffer // to be written
	after   int64        // the last entry written
	last    string       // the last state written, but for its time
}

// run writes until the reader has gone, stalls, or ctx ends.
func (s *stream) run(ctx context.Context) {
	idle := time.NewTicker(look)
	defer idle.Stop()
	paced := time.NewTimer(pace)
	defer paced.Stop()
	silent := time.Duration(0)
	force := true // the time of what others were shown is old
	for {
		entries, changed := s.stage.Log(s.after, maxBatch)
		s.state(ctx, changed, force)
		s.entries(entries)
		if s.buf.Len() == 0 && silent >= heartbeat {
			s.buf.WriteString(":\n\n")
		}
		if s.buf.Len() > 0 {
			silent = 0
		}
		if s.flush() != nil {
			return
		}
		if len(entries) == maxBatch {
			continue // there may be more
		}
		paced.Reset(pace)
		select {
		case <-paced.C:
		case <-ctx.Done():
			return
		case <-s.over:
			return
		}
		force = false
		select {
		case <-changed:
		case <-idle.C:
			force, silent = true, silent+look
		case <-ctx.Done():
			return
		case <-s.over:
			return
		}
	}
}

// entries writes entries.
func (s *stream) entries(entries []Entry) {
	for _, e := range entries {
		s.after = e.Seq
		body, err := json.Marshal(e)
		if err != nil { // its JSON is none
			e.JSON = nil
			body, _ = json.Marshal(e) //nolint:errchkjson // plain fields
		}
		fmt.Fprintf(&s.buf, "id: %d\nevent: log\ndata: %s\n\n", e.Seq, body)
	}
}

// state takes the state, unless the reader has it.
func (s *stream) state(ctx context.Context, changed <-chan struct{}, force bool) {
	body, timeless, err := s.shown.get(ctx, s.stage, changed, force)
	if err != nil || timeless == s.last {
		return // an error is the stage's change of scenes: it will be looked at again
	}
	s.last = timeless
	fmt.Fprintf(&s.buf, "event: state\ndata: %s\n\n", body)
}

// flush writes what was taken.
func (s *stream) flush() error {
	if s.buf.Len() == 0 {
		return nil
	}
	deadline := time.Now().Add(stall) //nolint:forbidigo // of a socket
	if err := s.control.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.buf.WriteTo(s.out); err != nil {
		return err
	}
	return s.control.Flush()
}

// shown is the latest state as it is written, made once for all readers.
type shown struct {
	mu       sync.Mutex
	asOf     <-chan struct{} // closed once it is outdated
	body     []byte
	timeless string
}

// get returns the state, and without its time, by which states are compared. It
// is made anew where changed is another channel than the last time, or by force.
func (s *shown) get(ctx context.Context, stage Stage, changed <-chan struct{}, force bool) (body []byte, timeless string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asOf == changed && !force {
		return s.body, s.timeless, nil
	}
	state, err := stage.State(ctx)
	if err != nil {
		return nil, "", err
	}
	if body, err = json.Marshal(state); err != nil {
		return nil, "", fmt.Errorf("state: %w", err)
	}
	state.Now = time.Time{}
	bare, err := json.Marshal(state)
	if err != nil {
		return nil, "", fmt.Errorf("state: %w", err)
	}
	s.asOf, s.body, s.timeless = changed, body, string(bare)
	return s.body, s.timeless, nil
}
