package page_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"usher/cmd/usher/page"
)

// still is a stage on which nothing happens unless a test says so.
type still struct {
	mu      sync.Mutex
	state   page.State
	entries []page.Entry
	changed chan struct{}
	acts    []page.Act
	refuse  error
	states  int // how often the state was asked for
}

func newStill() *still { return &still{changed: make(chan struct{})} }

// State returns the state.
func (s *still) State(context.Context) (page.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states++
	return s.state, nil
}

// Log returns the entries after one.
func (s *still) Log(after int64, limit int) (entries []page.Entry, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.Seq > after && len(entries) < limit {
			entries = append(entries, e)
		}
	}
	return entries, s.changed
}

// Do notes the act.
func (s *still) Do(_ context.Context, a page.Act) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acts = append(s.acts, a)
	return s.refuse
}

// change changes something and tells so.
func (s *still) change(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
	close(s.changed)
	s.changed = make(chan struct{})
}

func newPage(t *testing.T, s page.Stage) *page.Handler {
	t.Helper()
	h, err := page.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends a request to the page as a browser on this machine does.
func ask(t *testing.T, h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Host = "localhost:8088"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Every answer keeps the page to itself.
func TestHeaders(t *testing.T) {
	t.Parallel()
	h := newPage(t, newStill())
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
			"font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Resource-Policy": "same-origin",
	}
	for _, of := range [][2]string{{http.MethodGet, "/"}, {http.MethodGet, "/style.css"}, {http.MethodGet, "/no-such"}, {http.MethodPost, "/act"}} {
		w := ask(t, h, of[0], of[1], "{}")
		for name, value := range want {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s %s: %s is %q, want %q", of[0], of[1], name, got, value)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	h := newPage(t, newStill())
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/style.css": "text/css; charset=utf-8", "/app.js": "text/javascript; charset=utf-8",
	} {
		w := ask(t, h, http.MethodGet, path, "")
		tag := w.Header().Get("ETag")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind || !strings.HasPrefix(tag, `"`) || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %v", path, w.Code, w.Header())
		}
		if w := ask(t, h, http.MethodGet, path, "", "If-None-Match", tag); w.Code != http.StatusNotModified {
			t.Errorf("%s again: %d, want 304", path, w.Code)
		}
		if w := ask(t, h, http.MethodPost, path, ""); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d, want 405", path, w.Code)
		}
	}
	for _, path := range []string{"/index.html", "/assets/", "/../page.go", "/app.js/x"} {
		if w := ask(t, h, http.MethodGet, path, ""); w.Code == http.StatusOK {
			t.Errorf("%s is served", path)
		}
	}
}

// Who was led here by another name, or from another site, is refused.
func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	const act = `{"do":"reset"}`
	tests := map[string]struct {
		header []string
		want   int
	}{
		"localhost":             {want: http.StatusNoContent},
		"no_port":               {header: []string{"Host", "localhost"}, want: http.StatusNoContent},
		"127.0.0.1":             {header: []string{"Host", "127.0.0.1:1"}, want: http.StatusNoContent},
		"ipv6":                  {header: []string{"Host", "[::1]:8088"}, want: http.StatusNoContent},
		"ipv6_without_port":     {header: []string{"Host", "[::1]"}, want: http.StatusNoContent},
		"another_name":          {header: []string{"Host", "rebound.example:8088"}, want: http.StatusMisdirectedRequest},
		"localhost_of_somebody": {header: []string{"Host", "localhost.example"}, want: http.StatusMisdirectedRequest},
		"another_machine":       {header: []string{"Host", "10.0.0.1:8088"}, want: http.StatusMisdirectedRequest},
		"no_name":               {header: []string{"Host", ""}, want: http.StatusMisdirectedRequest},
		"same_origin":           {header: []string{"Origin", "http://localhost:8088", "Sec-Fetch-Site", "same-origin"}, want: http.StatusNoContent},
		"another_site":          {header: []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, want: http.StatusForbidden},
		"another_port":          {header: []string{"Origin", "http://localhost:9999"}, want: http.StatusForbidden},
		"a_form":                {header: []string{"Content-Type", "text/plain"}, want: http.StatusUnsupportedMediaType},
		"no_type":               {header: []string{"Content-Type", ""}, want: http.StatusUnsupportedMediaType},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStill()
			w := ask(t, newPage(t, s), http.MethodPost, "/act", act, tt.header...)
			if done := len(s.acts) == 1; w.Code != tt.want || done != (tt.want == http.StatusNoContent) {
				t.Errorf("%d and done: %v, want %d", w.Code, done, tt.want)
			}
			if tt.want == http.StatusMisdirectedRequest { // nor may it look
				if w := ask(t, newPage(t, s), http.MethodGet, "/", "", tt.header...); w.Code != tt.want {
					t.Errorf("GET: %d, want %d", w.Code, tt.want)
				}
			}
		})
	}
}

// What is not an act is refused, with a word for people, and reaches no stage.
func TestBadActs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 2001)
	tests := map[string]struct {
		body string
		want int
		says string
	}{
		"not_json":          {`hello`, 400, "not an act"},
		"nothing":           {``, 400, "not an act"},
		"two":               {`{"do":"reset"}{"do":"reset"}`, 400, "more behind it"},
		"unknown_key":       {`{"do":"reset","when":"now"}`, 400, `unknown field \"when\"`},
		"unknown_act":       {`{"do":"dance"}`, 400, `nobody can do \"dance\"`},
		"nobody":            {`{"do":"says","text":"x"}`, 400, "psid is missing"},
		"somebody_too_much": {`{"do":"kill","psid":"1"}`, 400, "psid is too much"},
		"no_text":           {`{"do":"says","psid":"1","text":" \n"}`, 400, "text is missing"},
		"text_too_much":     {`{"do":"reads","psid":"1","text":"x"}`, 400, "at most 0"},
		"long_text":         {`{"do":"agent","psid":"1","text":"` + long + `"}`, 400, "2001 characters, want at most 2000"},
		"long_title":        {`{"do":"button","psid":"1","text":"` + long[:400] + `"}`, 400, "at most 100"},
		"long_name":         {`{"do":"customer","text":"` + long[:102] + `"}`, 400, "at most 50"},
		"long_body":         {`{"do":"says","psid":"1","text":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "64 KiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStill()
			w := ask(t, newPage(t, s), http.MethodPost, "/act", tt.body)
			if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.says) || len(s.acts) > 0 {
				t.Errorf("%d %s, %d acts done; want %d with %q and none", w.Code, w.Body, len(s.acts), tt.want, tt.says)
			}
			var answer struct{ Error string }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Error == "" {
				t.Errorf("the answer is %s, want an error for people", w.Body)
			}
		})
	}
}

// What the stage refuses is told as it says; the longest texts are let through.
func TestActs(t *testing.T) {
	t.Parallel()
	s := newStill()
	h := newPage(t, s)
	text := strings.Repeat("ü", 2000)
	if w := ask(t, h, http.MethodPost, "/act", `{"do":"says","psid":"7","text":"`+text+`"}`); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if want := (page.Act{Do: "says", PSID: "7", Text: text}); len(s.acts) != 1 || s.acts[0] != want {
		t.Errorf("acts = %+v", s.acts)
	}
	for _, tt := range []struct {
		err  error
		want int
	}{
		{&page.ActError{Status: http.StatusNotFound, Text: "nobody there"}, http.StatusNotFound},
		{&page.ActError{Status: http.StatusConflict, Text: "not now"}, http.StatusConflict},
		{io.ErrUnexpectedEOF, http.StatusInternalServerError},
	} {
		s.refuse = tt.err
		w := ask(t, h, http.MethodPost, "/act", `{"do":"reset"}`)
		if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.err.Error()) {
			t.Errorf("%v: %d %s, want %d", tt.err, w.Code, w.Body, tt.want)
		}
	}
}
