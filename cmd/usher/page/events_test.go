package page_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/cmd/usher/page"
)

// wire is a browser's end of a stream. It can stall: then a write takes until its
// deadline.
type wire struct {
	mu       sync.Mutex
	header   http.Header
	status   int
	got      strings.Builder
	stalled  bool
	deadline time.Time
	read     time.Time
	writes   int
}

// Header returns the headers.
func (w *wire) Header() http.Header { return w.header }

// WriteHeader notes the status.
func (w *wire) WriteHeader(status int) { w.status = status }

// Write takes what is written.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	if w.stalled {
		time.Sleep(time.Until(w.deadline)) // of the bubble's clock
		return 0, os.ErrDeadlineExceeded
	}
	return w.got.Write(b)
}

// Flush does nothing: all is there.
func (*wire) Flush() {}

// SetWriteDeadline bounds the next write.
func (w *wire) SetWriteDeadline(t time.Time) error { w.deadline = t; return nil }

// SetReadDeadline must lift the server's.
func (w *wire) SetReadDeadline(t time.Time) error { w.read = t; return nil }

// take returns what came since the last time: "state N", where N is the Page's
// name, "log SEQ", ":" for a heartbeat.
func (w *wire) take(t *testing.T) (events []string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for block := range strings.SplitSeq(w.got.String(), "\n\n") {
		var id, event, data string
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch name {
			case "id":
				id = value
			case "event":
				event = value
			case "data":
				data = value
			case ":":
				events = append(events, ":")
			}
		}
		var state page.State
		var entry page.Entry
		switch event {
		case "state":
			if err := json.Unmarshal([]byte(data), &state); err != nil || id != "" {
				t.Errorf("state %q with id %q: %v", data, id, err)
			}
			events = append(events, "state "+state.Page.Name)
		case "log":
			if err := json.Unmarshal([]byte(data), &entry); err != nil || strconv.FormatInt(entry.Seq, 10) != id {
				t.Errorf("entry %q with id %q: %v", data, id, err)
			}
			events = append(events, "log "+id)
		}
	}
	w.got.Reset()
	return events
}

// reader opens a stream in a bubble. ended is closed when the server has ended it.
func reader(t *testing.T, h http.Handler, last string) (w *wire, ended chan struct{}, leave func()) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/events", http.NoBody)
	r.Host = "localhost"
	r.Header.Set("Last-Event-ID", last)
	w, ended = &wire{header: http.Header{}, status: http.StatusOK, read: time.Now()}, make(chan struct{})
	go func() {
		defer close(ended)
		h.ServeHTTP(w, r)
	}()
	synctest.Wait()
	return w, ended, leave
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func entries(from, to int64) (all []page.Entry) {
	for seq := from; seq <= to; seq++ {
		all = append(all, page.Entry{Seq: seq, Kind: "act"})
	}
	return all
}

// A reader gets the state and the entries, then what changes, and misses none when
// it comes back.
func TestStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStill()
		s.state.Page.Name, s.entries = "a", entries(1, 3)
		h := newPage(t, s)
		w, ended, leave := reader(t, h, "")
		want(t, w.take(t), "state a", "log 1", "log 2", "log 3")
		if w.header.Get("Content-Type") != "text/event-stream" || w.header.Get("Cache-Control") != "no-store" || !w.read.IsZero() {
			t.Errorf("headers %v, read deadline %v", w.header, w.read)
		}
		s.change(func() { s.state.Page.Name, s.entries = "b", entries(1, 4) })
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		want(t, w.take(t), "state b", "log 4")
		leave()
		<-ended

		s.change(func() { s.entries = entries(1, 6) })
		w, ended, leave = reader(t, h, "4")
		want(t, w.take(t), "state b", "log 5", "log 6")
		leave()
		<-ended
		for _, none := range []string{"x", "-1", "99999999999999999999"} {
			w, ended, leave = reader(t, h, none)
			if got := w.take(t); len(got) != 7 {
				t.Errorf("last event %q: got %q, want all", none, got)
			}
			leave()
			<-ended
		}
	})
}

// However much changes, at most twenty states a second are sent, and the last one
// is always among them.
func TestStatesAreCoalesced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStill()
		w, ended, leave := reader(t, newPage(t, s), "")
		w.take(t)
		for i := range 1001 { // a thousand in a second
			s.change(func() { s.state.Page.Name = strconv.Itoa(i) })
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		got := w.take(t)
		if len(got) < 15 || len(got) > 22 || got[len(got)-1] != "state 1000" {
			t.Errorf("%d states, the last is %q; want about 20, and the last", len(got), got[len(got)-1])
		}
		leave()
		<-ended
	})
}

// A state that differs in nothing but its time is not sent again; one that changed
// by time alone is, within a second.
func TestStatesThatTimeChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStill()
		w, ended, leave := reader(t, newPage(t, s), "")
		w.take(t)
		s.change(func() { s.state.Now = time.Now() })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		want(t, w.take(t))
		s.mu.Lock()
		s.state.Page.Name = "typing ended" // nobody tells
		s.mu.Unlock()
		time.Sleep(time.Second + 50*time.Millisecond)
		synctest.Wait()
		want(t, w.take(t), "state typing ended")
		leave()
		<-ended
	})
}

// A stream on which nothing happens shows that it lives.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ended, leave := reader(t, newPage(t, newStill()), "")
		w.take(t)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		want(t, w.take(t), ":", ":")
		leave()
		<-ended
	})
}

// Who takes nothing any more is dropped, and holds up nobody else.
func TestStalledReaderIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStill()
		h := newPage(t, s)
		slow, ended, leaveSlow := reader(t, h, "")
		defer leaveSlow()
		quick, quickEnded, leave := reader(t, h, "")
		quick.take(t)
		slow.mu.Lock()
		slow.stalled = true
		slow.mu.Unlock()
		for i := range 5 {
			s.change(func() { s.state.Page.Name = strconv.Itoa(i) })
			time.Sleep(time.Second)
		}
		synctest.Wait()
		want(t, quick.take(t), "state 0", "state 1", "state 2", "state 3", "state 4")
		select {
		case <-ended:
			t.Error("dropped after 5 s")
		default:
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("not dropped after 11 s")
		}
		leave()
		<-quickEnded
	})
}

// There is an end to how many look on; a place that is left can be taken. All
// share one state.
func TestManyReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStill()
		h := newPage(t, s)
		var all []chan struct{}
		var leaves []func()
		for range 32 {
			w, ended, leave := reader(t, h, "")
			if w.status != http.StatusOK {
				t.Fatalf("reader %d got %d", len(all)+1, w.status)
			}
			all, leaves = append(all, ended), append(leaves, leave)
		}
		if w, _, leave := reader(t, h, ""); w.status != http.StatusServiceUnavailable {
			t.Errorf("the 33rd got %d, want 503", w.status)
		} else {
			leave()
		}
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		before := s.states
		s.change(func() { s.state.Page.Name = "b" })
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := s.states - before; n != 1 {
			t.Errorf("the state was made %d times for 32 readers, want once", n)
		}
		leaves[0]()
		<-all[0]
		w, ended, leave := reader(t, h, "")
		if w.status != http.StatusOK {
			t.Errorf("with a place left, a reader got %d", w.status)
		}
		all, leaves = append(all, ended), append(leaves, leave)

		h.Close() // ends them all
		for _, ended := range all {
			<-ended
		}
		for _, leave := range leaves {
			leave()
		}
	})
}

// A time line longer than one write comes whole and in order.
func TestManyEntries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStill()
		s.entries = entries(1, 1000)
		w, ended, leave := reader(t, newPage(t, s), "")
		got := w.take(t)
		if len(got) != 1001 || got[0] != "state " || got[1000] != "log 1000" || w.writes > 6 {
			t.Errorf("%d events in %d writes, want 1001 in 6", len(got), w.writes)
		}
		leave()
		<-ended
	})
}
