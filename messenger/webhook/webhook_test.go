package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"usher/messenger"
	"usher/messenger/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret = "app-secret-4f1c"
	token  = "verify-token-77aa"
)

// inbox keeps events in memory, or fails with err.
type inbox struct {
	err    error
	mu     sync.Mutex
	events []messenger.Event
}

func (i *inbox) Append(_ context.Context, events []messenger.Event) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err == nil {
		i.events = append(i.events, events...)
	}
	return i.err
}

type inboxFunc func(context.Context, []messenger.Event) error

func (f inboxFunc) Append(ctx context.Context, events []messenger.Event) error { return f(ctx, events) }

// newHandler returns a handler; what o leaves out is the tests' own.
func newHandler(tb testing.TB, o webhook.Options) *webhook.Handler {
	tb.Helper()
	if o.Secrets == nil {
		o.Secrets = []string{secret}
	}
	o.VerifyToken = token
	h, err := webhook.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// post is a signed delivery.
func post(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
	r.Header.Set("X-Hub-Signature-256", webhook.Sign([]byte(secret), []byte(body)))
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// What is eased is stored already; it is answered afterwards, and no later than ctx ends.
func TestEase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stored, took := &inbox{}, time.Duration(0)
		h := newHandler(t, webhook.Options{
			Inbox: stored,
			Ease: func(ctx context.Context, events []messenger.Event) {
				if len(events) != 1 || len(stored.events) != 1 {
					t.Errorf("Ease() of %d events while %d are stored, want 1 and 1", len(events), len(stored.events))
				}
				<-ctx.Done()
			},
			Observe: func(d webhook.Delivery) { took = d.Took },
		})
		if w := serve(h, post(delivery(read))); w.Code != http.StatusOK || took != 4*time.Second {
			t.Errorf("answered with %d after %v, want 200 after 4s", w.Code, took)
		}
		stored.err = errors.New("away")
		stored.events = nil
		if w := serve(h, post(delivery(read))); w.Code != http.StatusServiceUnavailable || took != 0 {
			t.Errorf("not stored: answered with %d after %v, want 503 at once", w.Code, took)
		}
	})
}

// A delivery is stored, and only then answered with 200.
func TestStore(t *testing.T) {
	t.Parallel()
	in := &inbox{}
	h := newHandler(t, webhook.Options{Inbox: in})
	body := string(payloads(t)["batch"])
	w := serve(h, post(body))
	if w.Code != http.StatusOK || w.Body.String() != "EVENT_RECEIVED" {
		t.Errorf("answer = %d %q, want 200 EVENT_RECEIVED", w.Code, w.Body)
	}
	if diff := cmp.Diff(in.events, decode(t, body)); diff != "" {
		t.Errorf("stored (-got +want):\n%s", diff)
	}
}

// What cannot be stored is Meta's to repeat.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newHandler(t, webhook.Options{Inbox: &inbox{err: errors.New("connection refused")}, Log: zerolog.New(&log)})
	w := serve(h, post(delivery(read)))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("answer = %d, Retry-After %q, want 503 and when to come again", w.Code, w.Header().Get("Retry-After"))
	}
	if !strings.Contains(log.String(), "connection refused") || strings.Contains(w.Body.String(), "refused") {
		t.Errorf("the cause belongs in the log (%q), not in the answer (%q)", &log, w.Body)
	}
}

// An inbox that hangs is given up in time to tell Meta so.
func TestStoreHangs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ timeout, want time.Duration }{
		"default": {want: 4 * time.Second},
		"shorter": {timeout: time.Second, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHandler(t, webhook.Options{Timeout: tt.timeout, Inbox: inboxFunc(func(ctx context.Context, _ []messenger.Event) error {
					<-ctx.Done()
					return ctx.Err()
				})})
				began := time.Now()
				w := serve(h, post(delivery(read)))
				if got := time.Since(began); w.Code != http.StatusServiceUnavailable || got != tt.want {
					t.Errorf("answer = %d after %v, want 503 after %v", w.Code, got, tt.want)
				}
			})
		})
	}
}

// Only who knows a secret gets anything stored, and nobody learns one.
func TestSignature(t *testing.T) {
	t.Parallel()
	body := delivery(read)
	good := webhook.Sign([]byte(secret), []byte(body))
	tests := map[string]struct {
		header map[string]string
		want   int
	}{
		"good":             {header: map[string]string{"X-Hub-Signature-256": good}, want: 200},
		"previous_secret":  {header: map[string]string{"X-Hub-Signature-256": webhook.Sign([]byte("previous"), []byte(body))}, want: 200},
		"lower_case_name":  {header: map[string]string{"x-hub-signature-256": good}, want: 200},
		"missing":          {want: 401},
		"empty":            {header: map[string]string{"X-Hub-Signature-256": ""}, want: 401},
		"other_secret":     {header: map[string]string{"X-Hub-Signature-256": webhook.Sign([]byte("guess"), []byte(body))}, want: 401},
		"empty_secret":     {header: map[string]string{"X-Hub-Signature-256": webhook.Sign(nil, []byte(body))}, want: 401},
		"other_body":       {header: map[string]string{"X-Hub-Signature-256": webhook.Sign([]byte(secret), []byte(body+" "))}, want: 401},
		"sha1_only":        {header: map[string]string{"X-Hub-Signature": "sha1=2b9e5f0e5c3d2c1f0a9b8c7d6e5f4a3b2c1d0e9f"}, want: 401},
		"good_as_sha1":     {header: map[string]string{"X-Hub-Signature": good}, want: 401},
		"capital_hex":      {header: map[string]string{"X-Hub-Signature-256": "sha256=" + strings.ToUpper(good[7:])}, want: 401},
		"capital_prefix":   {header: map[string]string{"X-Hub-Signature-256": "SHA256=" + good[7:]}, want: 401},
		"no_prefix":        {header: map[string]string{"X-Hub-Signature-256": good[7:]}, want: 401},
		"cut_off":          {header: map[string]string{"X-Hub-Signature-256": good[:len(good)-2]}, want: 401},
		"longer":           {header: map[string]string{"X-Hub-Signature-256": good + "00"}, want: 401},
		"last_digit_wrong": {header: map[string]string{"X-Hub-Signature-256": good[:len(good)-1] + "x"}, want: 401},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			in := &inbox{}
			h := newHandler(t, webhook.Options{Inbox: in, Secrets: []string{secret, "previous"}, Log: zerolog.New(&log)})
			r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
			for name, v := range tt.header {
				r.Header.Set(name, v)
			}
			w := serve(h, r)
			if w.Code != tt.want || (len(in.events) > 0) != (tt.want == 200) {
				t.Errorf("answer = %d with %d events stored, want %d", w.Code, len(in.events), tt.want)
			}
			if tt.want == 401 && w.Body.String() != "Unauthorized" {
				t.Errorf("answer says %q, want no more than Unauthorized", w.Body)
			}
			if said := log.String() + w.Body.String(); strings.Contains(said, good[7:27]) || strings.Contains(said, "watermark") || strings.Contains(said, secret) {
				t.Errorf("said too much: %s", said)
			}
			if refused := strings.Contains(log.String(), `"level":"warn"`); refused != (tt.want == 401) {
				t.Errorf("log = %q, want a warning: %v", &log, tt.want == 401)
			}
		})
	}
}

// Neither forgers nor an outage can fill the log.
func TestLogIsLimited(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func() *http.Request{
		"forged":  func() *http.Request { return httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader("{}")) },
		"failing": func() *http.Request { return post(delivery(read)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				h := newHandler(t, webhook.Options{Inbox: &inbox{err: errors.New("down")}, Log: zerolog.New(&log)})
				lines := func() int {
					log.Reset()
					for range 1000 {
						serve(h, request())
					}
					return strings.Count(log.String(), "\n")
				}
				if got := lines(); got != 5 {
					t.Errorf("1000 deliveries give %d lines, want 5", got)
				}
				<-time.NewTimer(time.Minute + time.Second).C // in the bubble: at once
				if got := lines(); got != 5 {
					t.Errorf("1000 more a minute later give %d lines, want 5", got)
				}
			})
		})
	}
}

// Signed text that is not JSON is kept; Meta would repeat it for ever otherwise.
func TestNotJSON(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"form":       "object=page&secretword=1",
		"empty":      "",
		"open_quote": `{"object":"page`,
		"too_deep":   strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000),
		"binary":     "\x00\xff\xfe" + strings.Repeat("\x80a", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			in := &inbox{}
			w := serve(newHandler(t, webhook.Options{Inbox: in, Log: zerolog.New(&log)}), post(body))
			if w.Code != http.StatusOK || len(in.events) != 1 {
				t.Fatalf("answer = %d with %d events stored, want 200 with one", w.Code, len(in.events))
			}
			e := in.events[0]
			if e.Kind != messenger.KindUnknown || e.Field != "not_json" || e.Thread != (messenger.ThreadKey{Page: "0"}) || e.ID == "" {
				t.Errorf("event = %+v, want unknown, not_json, of Page 0", e)
			}
			if want := strings.ToValidUTF8(body, "\uFFFD"); !strings.HasPrefix(want, e.Raw) || len(e.Raw) < min(len(want), 64<<10-3) || len(e.Raw) > 64<<10 {
				t.Errorf("Raw has %d bytes, want the body's first 64 KiB", len(e.Raw))
			}
			if !strings.Contains(log.String(), `"offset"`) || strings.Contains(log.String(), "secretword") {
				t.Errorf("log = %q, want the offset and nothing of the body", &log)
			}
		})
	}
	a, b := &inbox{}, &inbox{}
	serve(newHandler(t, webhook.Options{Inbox: a}), post("object=page"))
	serve(newHandler(t, webhook.Options{Inbox: b}), post("object=user"))
	if a.events[0].ID == b.events[0].ID {
		t.Errorf("two bodies have one id, %s", a.events[0].ID)
	}
}

// What brings no events is answered without troubling the inbox.
func TestNothingToStore(t *testing.T) {
	t.Parallel()
	h := newHandler(t, webhook.Options{Inbox: &inbox{err: errors.New("down")}})
	if w := serve(h, post(`{"object":"user","entry":[{"id":"1"}]}`)); w.Code != http.StatusOK {
		t.Errorf("answer = %d, want 200", w.Code)
	}
}

// Meta is shown that the URL is ours, and nobody else is.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		query string
		want  int
		body  string
	}{
		"good":              {query: "hub.mode=subscribe&hub.verify_token=" + token + "&hub.challenge=1158201444", want: 200, body: "1158201444"},
		"markup_is_text":    {query: "hub.mode=subscribe&hub.verify_token=" + token + "&hub.challenge=%3Cscript%3E", want: 200, body: "<script>"},
		"longest_challenge": {query: "hub.mode=subscribe&hub.verify_token=" + token + "&hub.challenge=" + strings.Repeat("1", 1024), want: 200, body: strings.Repeat("1", 1024)},
		"long_challenge":    {query: "hub.mode=subscribe&hub.verify_token=" + token + "&hub.challenge=" + strings.Repeat("1", 1025), want: 403, body: "Forbidden"},
		"no_challenge":      {query: "hub.mode=subscribe&hub.verify_token=" + token, want: 403, body: "Forbidden"},
		"wrong_token":       {query: "hub.mode=subscribe&hub.verify_token=guess&hub.challenge=1", want: 403, body: "Forbidden"},
		"longer_token":      {query: "hub.mode=subscribe&hub.verify_token=" + token + "x&hub.challenge=1", want: 403, body: "Forbidden"},
		"no_token":          {query: "hub.mode=subscribe&hub.challenge=1", want: 403, body: "Forbidden"},
		"other_mode":        {query: "hub.mode=unsubscribe&hub.verify_token=" + token + "&hub.challenge=1", want: 403, body: "Forbidden"},
		"nothing":           {want: 403, body: "Forbidden"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := serve(newHandler(t, webhook.Options{Inbox: &inbox{}}), httptest.NewRequest(http.MethodGet, "/webhook?"+tt.query, http.NoBody))
			if w.Code != tt.want || w.Body.String() != tt.body {
				t.Errorf("answer = %d %.40q, want %d %.40q", w.Code, w.Body, tt.want, tt.body)
			}
			if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type = %q, want plain text", got)
			}
			if got := w.Header().Get("X-Content-Type-Options"); got != "nosniff" {
				t.Errorf("X-Content-Type-Options = %q, want nosniff", got)
			}
		})
	}
}

// Metrics hear of every delivery.
func TestObserve(t *testing.T) {
	t.Parallel()
	type seen struct {
		Status, Events int
		Took           time.Duration
	}
	var got []seen
	in := &inbox{}
	var clock time.Time
	h := newHandler(t, webhook.Options{Inbox: in, Now: func() time.Time { clock = clock.Add(time.Second); return clock }, Observe: func(d webhook.Delivery) {
		got = append(got, seen{d.Status, len(d.Events), d.Took})
	}})
	serve(h, post(delivery(read, read)))
	serve(h, httptest.NewRequest(http.MethodPost, "/webhook", http.NoBody))
	serve(h, post(`{"object":"user"}`))
	serve(h, httptest.NewRequest(http.MethodGet, "/webhook", http.NoBody))
	in.err = errors.New("down")
	serve(h, post(delivery(read)))
	if diff := cmp.Diff(got, []seen{{200, 2, time.Second}, {401, 0, time.Second}, {200, 0, time.Second}, {503, 1, time.Second}}); diff != "" {
		t.Errorf("observed (-got +want):\n%s", diff)
	}
}

// Echo leads GET and POST of /webhook here, and nothing else.
func TestRegister(t *testing.T) {
	t.Parallel()
	e := echo.New()
	newHandler(t, webhook.Options{Inbox: &inbox{}}).Register(e)
	if w := serve(e, post(delivery(read))); w.Code != http.StatusOK {
		t.Errorf("POST = %d, want 200", w.Code)
	}
	verify := "?hub.mode=subscribe&hub.verify_token=" + token + "&hub.challenge=1"
	if w := serve(e, httptest.NewRequest(http.MethodGet, "/webhook"+verify, http.NoBody)); w.Code != http.StatusOK {
		t.Errorf("GET = %d, want 200", w.Code)
	}
	if w := serve(e, httptest.NewRequest(http.MethodDelete, "/webhook", http.NoBody)); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE = %d, want 405", w.Code)
	}
	w := serve(newHandler(t, webhook.Options{Inbox: &inbox{}}), httptest.NewRequest(http.MethodPut, "/webhook", http.NoBody))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, POST" {
		t.Errorf("PUT without echo = %d, Allow %q, want 405", w.Code, w.Header().Get("Allow"))
	}
}

// New names all that is wrong, and lets nothing through that anybody could sign.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := webhook.Options{Secrets: []string{secret}, VerifyToken: token, Inbox: &inbox{}}
	tests := map[string]struct {
		spoil func(*webhook.Options)
		want  []string
	}{
		"no_secret":        {spoil: func(o *webhook.Options) { o.Secrets = nil }, want: []string{"Secrets"}},
		"empty_secret":     {spoil: func(o *webhook.Options) { o.Secrets = []string{secret, ""} }, want: []string{"Secrets"}},
		"no_token":         {spoil: func(o *webhook.Options) { o.VerifyToken = "" }, want: []string{"VerifyToken"}},
		"no_inbox":         {spoil: func(o *webhook.Options) { o.Inbox = nil }, want: []string{"Inbox"}},
		"negative_timeout": {spoil: func(o *webhook.Options) { o.Timeout = -1 }, want: []string{"Timeout"}},
		"timeout_of_meta":  {spoil: func(o *webhook.Options) { o.Timeout = 5 * time.Second }, want: []string{"Timeout"}},
		"everything":       {spoil: func(o *webhook.Options) { *o = webhook.Options{} }, want: []string{"Secrets", "VerifyToken", "Inbox"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := good
			tt.spoil(&o)
			h, err := webhook.New(o)
			if h != nil || err == nil {
				t.Fatalf("New = %v, %v, want an error alone", h, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not name %s", err, want)
				}
			}
		})
	}
}
