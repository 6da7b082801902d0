package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/cmd/usher/page"
	"usher/messenger"
)

// The customers of a new theatre.
const (
	ann  messenger.PSID = "7000000000000001"
	omar messenger.PSID = "7000000000000002"
)

// newTheatre opens a theatre that is closed when the test ends.
func newTheatre(t *testing.T, change func(*theatreOptions)) *theatre {
	t.Helper()
	cfg, script, err := demoSettings()
	if err != nil {
		t.Fatal(err)
	}
	o := theatreOptions{cfg: cfg, script: script, patience: 30 * time.Second}
	if change != nil {
		change(&o)
	}
	th, err := openTheatre(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := th.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return th
}

// visitor is a reader of the demo's page, and whoever acts on it.
type visitor struct {
	t   *testing.T
	url string

	mu      sync.Mutex
	state   page.State
	entries []page.Entry
	changed chan struct{}
}

// browse opens the page of a theatre.
func browse(t *testing.T, th *theatre) *visitor {
	t.Helper()
	h, err := page.New(th)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(func() { h.Close(); server.Close() })
	b := &visitor{t: t, url: server.URL, changed: make(chan struct{})}
	ctx, leave := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	t.Cleanup(func() { leave(); reading.Wait() })
	reading.Go(func() { b.read(ctx, 0) })
	return b
}

// read follows the events from one on, until ctx ends.
func (b *visitor) read(ctx context.Context, after int64) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/events", http.NoBody)
	if err != nil {
		b.t.Error(err)
		return
	}
	r.Header.Set("Last-Event-ID", strconv.FormatInt(after, 10))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return // the test is over
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 4<<20)
	for event := ""; lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			event = value
		case "data":
			b.take(event, []byte(value))
		}
	}
}

func (b *visitor) take(event string, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if event == "state" {
		b.state = page.State{}
		err = json.Unmarshal(data, &b.state)
	} else {
		var e page.Entry
		err = json.Unmarshal(data, &e)
		b.entries = append(b.entries, e)
	}
	if err != nil {
		b.t.Errorf("%s: %v in %s", event, err, data)
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

// until waits for what the page shows.
func (b *visitor) until(what string, shown func(page.State) bool) page.State {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	for {
		b.mu.Lock()
		state, changed := b.state, b.changed
		b.mu.Unlock()
		if len(state.Customers) > 0 && shown(state) {
			return state
		}
		select {
		case <-changed:
		case <-ctx.Done():
			all, _ := json.Marshal(state)
			b.t.Fatalf("not reached: %s\n%s\n%s", what, all, strings.Join(b.titles(""), "\n"))
		}
	}
}

// untilAnn waits for what the page shows of the first customer.
func (b *visitor) untilAnn(what string, shown func(page.Customer) bool) page.Customer {
	b.t.Helper()
	return b.until(what, func(s page.State) bool { return shown(s.Customers[0]) }).Customers[0]
}

// titles returns those of the entries of a kind, or of all.
func (b *visitor) titles(kind string) (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if kind == "" || e.Kind == kind {
			all = append(all, e.Title)
		}
	}
	return all
}

// untilTold waits for an entry whose title has a text.
func (b *visitor) untilTold(kind, text string) page.Entry {
	b.t.Helper()
	var found page.Entry
	b.until(kind+" "+text, func(page.State) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		i := slices.IndexFunc(b.entries, func(e page.Entry) bool { return e.Kind == kind && strings.Contains(e.Title, text) })
		if i >= 0 {
			found = b.entries[i]
		}
		return i >= 0
	})
	return found
}

// try does an act and returns the status and the error for people.
func (b *visitor) try(do string, psid messenger.PSID, text string) (status int, refusal string) {
	b.t.Helper()
	body, err := json.Marshal(page.Act{Do: do, PSID: psid, Text: text})
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+"/act", bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// act does an act that must be done.
func (b *visitor) act(do string, psid messenger.PSID, text string) {
	b.t.Helper()
	if status, refusal := b.try(do, psid, text); status != http.StatusNoContent {
		b.t.Fatalf("%s %s %q: %d %s", do, psid, text, status, refusal)
	}
}

// play plays a situation and returns what came of it.
func (b *visitor) play(id string, psid messenger.PSID) (found page.Situation) {
	b.t.Helper()
	ends := func() (n int) {
		for _, title := range b.titles(kindWorld) {
			if strings.HasPrefix(title, "Held: ") || strings.HasPrefix(title, "Broken: ") {
				n++
			}
		}
		return n
	}
	before := ends()
	b.act(page.DoPlay, psid, id)
	b.until("the verdict of "+id, func(s page.State) bool {
		i := slices.IndexFunc(s.Situations, func(s page.Situation) bool { return s.ID == id })
		found = s.Situations[i]
		return ends() > before && s.Playing == "" && found.Verdict != ""
	})
	return found
}

// last returns the last line on a phone.
func last(c page.Customer) (text string) {
	if n := len(c.Phone.Lines); n > 0 {
		return c.Phone.Lines[n-1].Text
	}
	return ""
}
