package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usher/messenger"
	"usher/messenger/graph"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	page  messenger.PageID = "1000000000000001"
	ada   messenger.PSID   = "2000000000000002"
	token                  = "EAACANARYTOKEN0123456789"
	// appSecret and secretProof: openssl dgst -sha256 -hmac of the token.
	appSecret   = "canary-app-secret-5f2a"
	secretProof = "d577d569dbae4a1f0cf2da636f377f8e165ea826e24e394bd7326c5526450978"
)

// canaries are what must appear nowhere.
var canaries = []string{token, appSecret, secretProof}

// newClient returns a client of a server that answers with h.
func newClient(tb testing.TB, h http.HandlerFunc) *graph.Client {
	tb.Helper()
	srv := httptest.NewServer(h)
	tb.Cleanup(srv.Close)
	return clientOf(tb, graph.Options{BaseURL: srv.URL, Transport: srv.Client().Transport})
}

// clientOf returns a client made of o and what every client needs.
func clientOf(tb testing.TB, o graph.Options) *graph.Client {
	tb.Helper()
	o.Page, o.Token, o.AppSecret = page, token, appSecret
	c, err := graph.New(o)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return c
}

// answer is a handler that always answers the same.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// recorded reads one of Meta's answers.
func recorded(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "graph", name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// roundTrip is a transport in process.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNewNamesEveryBadOption(t *testing.T) {
	t.Parallel()
	good := graph.Options{Page: page, Token: token, AppSecret: appSecret}
	tests := map[string]struct {
		spoil func(*graph.Options)
		want  string // "" = good
	}{
		"defaults":            {spoil: func(*graph.Options) {}},
		"page_missing":        {spoil: func(o *graph.Options) { o.Page = "" }, want: "Page"},
		"page_with_path":      {spoil: func(o *graph.Options) { o.Page = "1/2" }, want: "Page"},
		"token_missing":       {spoil: func(o *graph.Options) { o.Token = "" }, want: "Token"},
		"token_with_newline":  {spoil: func(o *graph.Options) { o.Token += "\n" }, want: "Token"},
		"secret_missing":      {spoil: func(o *graph.Options) { o.AppSecret = "" }, want: "AppSecret"},
		"version":             {spoil: func(o *graph.Options) { o.Version = "26.0" }, want: "Version"},
		"version_with_path":   {spoil: func(o *graph.Options) { o.Version = "v26.0/x" }, want: "Version"},
		"version_short":       {spoil: func(o *graph.Options) { o.Version = "v27.0" }},
		"timeout":             {spoil: func(o *graph.Options) { o.Timeout = -1 }, want: "Timeout"},
		"https":               {spoil: func(o *graph.Options) { o.BaseURL = "https://graph.example.com/fb/" }},
		"http_on_loopback":    {spoil: func(o *graph.Options) { o.BaseURL = "http://127.0.0.2:8080" }},
		"http_on_localhost":   {spoil: func(o *graph.Options) { o.BaseURL = "http://localhost:1" }},
		"http_on_loopback_v6": {spoil: func(o *graph.Options) { o.BaseURL = "http://[::1]:1" }},
		"http_elsewhere":      {spoil: func(o *graph.Options) { o.BaseURL = "http://graph.facebook.com" }, want: "BaseURL is plain http"},
		"http_that_looks_so":  {spoil: func(o *graph.Options) { o.BaseURL = "http://localhost.example.com" }, want: "BaseURL is plain http"},
		"other_scheme":        {spoil: func(o *graph.Options) { o.BaseURL = "ftp://localhost" }, want: "BaseURL"},
		"no_scheme":           {spoil: func(o *graph.Options) { o.BaseURL = "graph.facebook.com" }, want: "BaseURL"},
		"password_in_url":     {spoil: func(o *graph.Options) { o.BaseURL = "https://u:" + token + "@h" }, want: "BaseURL"},
		"unparsable_url":      {spoil: func(o *graph.Options) { o.BaseURL = "https://" + token + "\n" }, want: "BaseURL"},
		"query_in_url":        {spoil: func(o *graph.Options) { o.BaseURL = "https://h/?a=" + token }, want: "BaseURL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := good
			tt.spoil(&o)
			c, err := graph.New(o)
			if tt.want == "" {
				if err != nil || c == nil {
					t.Fatalf("New = %v, %v, want a client", c, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("New error = %v, want it to name %q", err, tt.want)
			}
			noCanary(t, err.Error())
		})
	}
	_, err := graph.New(graph.Options{Version: "x"})
	for _, want := range []string{"Page", "Token", "AppSecret", "Version"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New error = %v, want all faults at once, also %s", err, want)
		}
	}
}

func TestPrintHidesSecrets(t *testing.T) {
	t.Parallel()
	o := graph.Options{Page: page, Token: token, AppSecret: appSecret}
	c := clientOf(t, o)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{c, o, &o, struct{ C *graph.Client }{c}, struct{ c any }{c}} {
			noCanary(t, fmt.Sprintf(verb, v))
		}
	}
	encoded, err := json.Marshal(map[string]any{"client": c})
	if err != nil {
		t.Fatal(err)
	}
	noCanary(t, string(encoded))
	if got, want := fmt.Sprint(c), "graph.Client(Page 1000000000000001 at https://graph.facebook.com/v26.0/)"; got != want {
		t.Errorf("Sprint(c) = %s, want %s", got, want)
	}
}

func noCanary(t *testing.T, text string, more ...string) {
	t.Helper()
	for _, canary := range append(more, canaries...) {
		hex := fmt.Sprintf("%x", canary)
		if strings.Contains(text, canary) || strings.Contains(text, hex) {
			t.Errorf("%q holds %q", text, canary)
		}
	}
}

// Each call makes exactly this request, and reads this answer.
func TestRequests(t *testing.T) {
	t.Parallel()
	full := graph.MessengerProfile{
		GetStarted:  &graph.GetStarted{Payload: "START"},
		Greeting:    []graph.Greeting{{Locale: "default", Text: "Hello {{user_first_name}}"}},
		IceBreakers: []graph.IceBreakers{{Locale: "default", Questions: []graph.IceBreaker{{Question: "Opening hours?", Payload: "HOURS"}}}},
		Menu: []graph.Menu{{Locale: "default", Items: []graph.Button{
			{Title: "Talk to a human", Payload: "HUMAN"}, {Title: "Shop", URL: "https://example.com/"},
		}}},
	}
	until := time.Unix(1764000000, 0).UTC()
	const (
		proofMember = `{"appsecret_proof":"` + secretProof + `",`
		proofQuery  = "appsecret_proof=" + secretProof
		toAda       = proofMember + `"recipient":{"id":"2000000000000002"}`
		root        = "/v26.0/1000000000000001"
	)
	type ctx = context.Context
	tests := map[string]struct {
		call   func(ctx, *graph.Client) (any, error)
		answer string
		method string
		url    string
		body   string
		want   any
	}{
		"send": {
			call: func(ctx ctx, c *graph.Client) (any, error) {
				return c.Send(ctx, ada, graph.Message{Text: "Hi <b>", Metadata: "e1"})
			},
			answer: "sent", method: "POST", url: root + "/messages",
			body: toAda + `,"messaging_type":"RESPONSE","message":{"text":"Hi \u003cb\u003e","metadata":"e1"}}`,
			want: messenger.MessageID("m_AG5Hz2Uq7tuwNEhXfYYKj8mJEM_QPpz5jdCK48PnKAjSdjfipqxqMvK8ma6AC8fplwlqLP_5cgXIbu7I3rBN0P"),
		},
		"action": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return nil, c.Action(ctx, ada, graph.TypingOn) },
			answer: "action_shown", method: "POST", url: root + "/messages", body: toAda + `,"sender_action":"typing_on"}`,
		},
		"pass": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return nil, c.Pass(ctx, ada, messenger.PageInbox, "why") },
			answer: "success", method: "POST", url: root + "/pass_thread_control",
			body: toAda + `,"target_app_id":"263902037430900","metadata":"why"}`,
		},
		"pass_to_default_app": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return nil, c.Pass(ctx, ada, "", "") },
			answer: "success", method: "POST", url: root + "/pass_thread_control", body: toAda + `}`,
		},
		"take": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return nil, c.Take(ctx, ada, "why") },
			answer: "success", method: "POST", url: root + "/take_thread_control", body: toAda + `,"metadata":"why"}`,
		},
		"request": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return nil, c.Request(ctx, ada, "why") },
			answer: "success", method: "POST", url: root + "/request_thread_control", body: toAda + `,"metadata":"why"}`,
		},
		"release": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return nil, c.Release(ctx, ada) },
			answer: "success", method: "POST", url: root + "/release_thread_control", body: toAda + `}`,
		},
		"extend": {
			call: func(ctx ctx, c *graph.Client) (any, error) {
				return nil, c.Extend(ctx, ada, 7*24*time.Hour)
			},
			answer: "success", method: "POST", url: root + "/extend_thread_control", body: toAda + `,"duration":604800}`,
		},
		"owner": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return c.Owner(ctx, ada) },
			answer: "owner_number", method: "GET", url: root + "/thread_owner?" + proofQuery + "&recipient=2000000000000002",
			want: graph.Owner{App: messenger.PageInbox, Until: until},
		},
		"ping": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return nil, c.Ping(ctx) },
			answer: "features_not_shown", method: "GET", url: root + "?" + proofQuery + "&fields=id",
		},
		"features": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return c.Features(ctx) },
			answer: "features", method: "GET", url: root + "?" + proofQuery + "&fields=messaging_feature_status",
			want: graph.Features{HopV2: true, MessengerMultiApp: true},
		},
		"subscriptions": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return c.Subscriptions(ctx) },
			answer: "subscriptions", method: "GET", url: root + "/subscribed_apps?" + proofQuery,
			want: []graph.Subscription{
				{App: "3000000000000003", Name: "Usher", Fields: []string{"messages", "messaging_postbacks", "standby"}},
				{App: "3000000000000004", Name: "Other"},
			},
		},
		"subscribe": {
			call: func(ctx ctx, c *graph.Client) (any, error) {
				return nil, c.Subscribe(ctx, []string{"messages", "standby"})
			},
			answer: "success", method: "POST", url: root + "/subscribed_apps", body: proofMember + `"subscribed_fields":"messages,standby"}`,
		},
		"upload": {
			call: func(ctx ctx, c *graph.Client) (any, error) {
				return c.Upload(ctx, graph.Media{Type: graph.Image, URL: "https://example.com/i.png"})
			},
			answer: "uploaded", method: "POST", url: root + "/message_attachments",
			body: proofMember + `"message":{"attachment":{"type":"image","payload":{"url":"https://example.com/i.png","is_reusable":true}}}}`,
			want: "1857777774821032",
		},
		"profile": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return c.Profile(ctx, ada) },
			answer: "profile", method: "GET",
			url:  "/v26.0/2000000000000002?" + proofQuery + "&fields=first_name%2Clast_name%2Cprofile_pic%2Clocale",
			want: graph.Profile{FirstName: "Ada", LastName: "Lovelace", Locale: "en_GB", Picture: "https://platform-lookaside.example.com/p.jpg"},
		},
		"profile_empty": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return c.Profile(ctx, ada) },
			answer: "profile_empty", method: "GET",
			url:  "/v26.0/2000000000000002?" + proofQuery + "&fields=first_name%2Clast_name%2Cprofile_pic%2Clocale",
			want: graph.Profile{},
		},
		"messenger_profile": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return c.MessengerProfile(ctx) },
			answer: "messenger_profile", method: "GET",
			url:  root + "/messenger_profile?" + proofQuery + "&fields=get_started%2Cgreeting%2Cice_breakers%2Cpersistent_menu",
			want: full,
		},
		"messenger_profile_unset": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return c.MessengerProfile(ctx, graph.FieldGreeting) },
			answer: "messenger_profile_unset", method: "GET", url: root + "/messenger_profile?" + proofQuery + "&fields=greeting",
			want: graph.MessengerProfile{},
		},
		"set_messenger_profile": {
			call:   func(ctx ctx, c *graph.Client) (any, error) { return nil, c.SetMessengerProfile(ctx, full) },
			answer: "result_success", method: "POST", url: root + "/messenger_profile",
			body: proofMember + `"get_started":{"payload":"START"},"greeting":[{"locale":"default","text":"Hello {{user_first_name}}"}],` +
				`"ice_breakers":[{"call_to_actions":[{"question":"Opening hours?","payload":"HOURS"}],"locale":"default"}],` +
				`"persistent_menu":[{"locale":"default","composer_input_disabled":false,"call_to_actions":[` +
				`{"title":"Talk to a human","payload":"HUMAN","type":"postback"},{"title":"Shop","url":"https://example.com/","type":"web_url"}]}]}`,
		},
		"delete_messenger_profile": {
			call: func(ctx ctx, c *graph.Client) (any, error) {
				return nil, c.DeleteMessengerProfile(ctx, graph.FieldMenu, graph.FieldGetStarted)
			},
			answer: "result_success", method: "DELETE", url: root + "/messenger_profile?" + proofQuery,
			body: `{"fields":["persistent_menu","get_started"]}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := recorded(t, tt.answer)
			var srv *httptest.Server
			srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				if err != nil {
					t.Errorf("read request: %v", err)
				}
				if r.Method != tt.method || r.RequestURI != tt.url {
					t.Errorf("request = %s %s, want %s %s", r.Method, r.RequestURI, tt.method, tt.url)
				}
				if string(got) != tt.body {
					t.Errorf("body = %s\nwant   %s", got, tt.body)
				}
				if got, want := r.Header.Get("Authorization"), "Bearer "+token; got != want {
					t.Errorf("Authorization = %q, want %q", got, want)
				}
				if got := r.Header.Get("Content-Type"); (got == "application/json") != (tt.body != "") {
					t.Errorf("Content-Type = %q with body %q", got, tt.body)
				}
				if got, want := r.Host, srv.Listener.Addr().String(); got != want {
					t.Errorf("Host = %q, want %q", got, want)
				}
				_, _ = io.WriteString(w, body)
			}))
			t.Cleanup(srv.Close)
			for name, transport := range map[string]http.RoundTripper{"own": nil, "net_http": srv.Client().Transport} {
				got, err := tt.call(t.Context(), clientOf(t, graph.Options{BaseURL: srv.URL, Transport: transport}))
				if err != nil {
					t.Fatalf("%s: error = %v", name, err)
				}
				equal(t, got, tt.want)
			}
		})
	}
}

// What cannot be right is not sent.
func TestNotSent(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was sent", r.Method, r.RequestURI) })
	long := strings.Repeat("x", 1001)
	tests := map[string]func(context.Context) error{
		"send_invalid":     func(ctx context.Context) error { _, err := c.Send(ctx, ada, graph.Message{}); return err },
		"send_to_nobody":   func(ctx context.Context) error { _, err := c.Send(ctx, "", graph.Message{Text: "x"}); return err },
		"action_to_nobody": func(ctx context.Context) error { return c.Action(ctx, "", graph.TypingOn) },
		"unknown_action":   func(ctx context.Context) error { return c.Action(ctx, ada, "wave") },
		"profile_path":     func(ctx context.Context) error { _, err := c.Profile(ctx, "../me"); return err },
		"owner_of_nobody":  func(ctx context.Context) error { _, err := c.Owner(ctx, ""); return err },
		"pass_nobody":      func(ctx context.Context) error { return c.Pass(ctx, "", "1", "") },
		"pass_metadata":    func(ctx context.Context) error { return c.Pass(ctx, ada, "1", long) },
		"take_metadata":    func(ctx context.Context) error { return c.Take(ctx, ada, long) },
		"request_metadata": func(ctx context.Context) error { return c.Request(ctx, ada, long) },
		"extend_too_short": func(ctx context.Context) error { return c.Extend(ctx, ada, time.Second-1) },
		"extend_too_long":  func(ctx context.Context) error { return c.Extend(ctx, ada, 7*24*time.Hour+1) },
		"subscribe_nil":    func(ctx context.Context) error { return c.Subscribe(ctx, nil) },
		"upload_uploaded": func(ctx context.Context) error {
			_, err := c.Upload(ctx, graph.Media{Type: "image", AttachmentID: "1"})
			return err
		},
		"upload_type": func(ctx context.Context) error {
			_, err := c.Upload(ctx, graph.Media{Type: "gif", URL: "https://h/"})
			return err
		},
		"menu_nothing": func(ctx context.Context) error { return c.SetMessengerProfile(ctx, graph.MessengerProfile{}) },
		"menu_invalid": func(ctx context.Context) error {
			return c.SetMessengerProfile(ctx, graph.MessengerProfile{GetStarted: &graph.GetStarted{}})
		},
		"delete_nothing": func(ctx context.Context) error { return c.DeleteMessengerProfile(ctx) },
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := call(t.Context()); !errors.Is(err, graph.ErrBadParameter) {
				t.Errorf("error = %v, want ErrBadParameter", err)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stolen" {
				t.Errorf("HTTP %d was followed with %q", status, r.Header.Get("Authorization"))
			}
			http.Redirect(w, r, "/stolen", status)
		})
		_, owner := c.Owner(t.Context(), ada)
		for _, err := range []error{owner, c.Release(t.Context(), ada)} {
			var e *graph.Error
			if !errors.As(err, &e) || e.Status != status || !strings.Contains(err.Error(), "redirects are not followed") {
				t.Errorf("HTTP %d: error = %v", status, err)
			}
		}
	}
}

// Errors end up in logs: what Meta says stays, whom it names does not.
func TestErrorsNameNobody(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*graph.Client) error{
		"send": func(c *graph.Client) error {
			_, err := c.Send(t.Context(), ada, graph.Message{Text: "Hello"})
			return err
		},
		"action":  func(c *graph.Client) error { return c.Action(t.Context(), ada, graph.TypingOn) },
		"take":    func(c *graph.Client) error { return c.Take(t.Context(), ada, "") },
		"owner":   func(c *graph.Client) error { _, err := c.Owner(t.Context(), ada); return err },
		"profile": func(c *graph.Client) error { _, err := c.Profile(t.Context(), ada); return err },
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
				quote(w, "message", "Object with ID '"+string(ada)+"' does not exist")
			})
			err := call(c)
			if err == nil || !strings.Contains(err.Error(), "Object with ID '…' does not exist") {
				t.Errorf("error = %v, want Meta's words without the id", err)
			}
		})
	}
}

// A server that quotes everything back gets nothing into an error or a print of it.
func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	const said = "My name is Ada Lovelace and my order is 4711-canary"
	message := graph.Message{Text: said, QuickReplies: []graph.QuickReply{{Title: "canary title", Payload: "canary payload"}}}
	tests := map[string]func(w http.ResponseWriter, r *http.Request, request string){
		"in_the_message": func(w http.ResponseWriter, _ *http.Request, q string) { quote(w, "message", q) },
		"in_the_type":    func(w http.ResponseWriter, _ *http.Request, q string) { quote(w, "type", q) },
		"in_the_trace":   func(w http.ResponseWriter, _ *http.Request, q string) { quote(w, "fbtrace_id", q) },
		"in_the_code":    func(w http.ResponseWriter, _ *http.Request, q string) { quote(w, "code", q) },
		"as_a_code": func(w http.ResponseWriter, _ *http.Request, _ string) {
			_, _ = io.WriteString(w, `{"error":{"code":"`+token+`"}}`)
		},
		"a_part_of_it":   func(w http.ResponseWriter, _ *http.Request, q string) { quote(w, "message", q[len(q)/4:len(q)*3/4]) },
		"a_part_of_text": func(w http.ResponseWriter, _ *http.Request, _ string) { quote(w, "message", said[:len(said)-8]) },
		"only_a_title":   func(w http.ResponseWriter, _ *http.Request, _ string) { quote(w, "message", "what is 'canary title'?") },
		"as_html": func(w http.ResponseWriter, _ *http.Request, q string) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, q)
		},
		"as_a_redirect": func(w http.ResponseWriter, r *http.Request, q string) {
			http.Redirect(w, r, "/"+token+secretProof, http.StatusFound)
			_ = q
		},
		"as_status_line": func(w http.ResponseWriter, _ *http.Request, q string) { raw(w, q) },
		"as_header_lines": func(w http.ResponseWriter, _ *http.Request, q string) {
			raw(w, "HTTP/1.1 200 OK\r\n"+strings.ReplaceAll(q, ":", ""))
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				var request bytes.Buffer
				if err := r.Write(&request); err != nil {
					t.Errorf("quote request: %v", err)
				}
				tt(w, r, request.String())
			})
			_, err := c.Send(t.Context(), ada, message)
			_, owner := c.Owner(t.Context(), ada)
			for err, words := range map[error][]string{
				err:   {said, said[:len(said)-8], "canary title", "canary payload"},
				owner: nil, // knows nothing of what was said
			} {
				if err == nil {
					t.Fatal("no error")
				}
				for e := err; e != nil; e = errors.Unwrap(e) {
					for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
						noCanary(t, fmt.Sprintf(verb, e), words...)
					}
				}
			}
		})
	}
}

// Where a file is may tell whom it is for.
func TestErrorsQuoteNoFile(t *testing.T) {
	t.Parallel()
	const file = "https://example.com/canary.png"
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) { quote(w, "message", "cannot fetch "+file) })
	_, err := c.Upload(t.Context(), graph.Media{Type: graph.Image, URL: file})
	if err == nil {
		t.Fatal("no error")
	}
	noCanary(t, err.Error(), file)
}

func quote(w http.ResponseWriter, member, text string) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{member: text}})
}

// raw writes text to the connection instead of an answer, and closes it.
func raw(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.Close()
}

// Meta's own words are worth printing when they quote nothing.
func TestErrorText(t *testing.T) {
	t.Parallel()
	c := newClient(t, answer(400, recorded(t, "not_owner")))
	err := c.Take(t.Context(), ada, "")
	const want = "graph take_thread_control: another app controls the thread: HTTP 400, code 10/2018300: " +
		"(#10) Message failed to send because another app is controlling this thread now. (trace AtraceOfNotOwner)"
	if err == nil || err.Error() != want {
		t.Errorf("error = %v\nwant    %s", err, want)
	}
	bare := &graph.Error{Edge: "messages", Status: 400, Code: 4711}
	if got, want := bare.Error(), "graph messages: refused: HTTP 400, code 4711"; got != want {
		t.Errorf("error = %s, want %s", got, want)
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	until := time.Unix(1764000000, 0).UTC()
	tests := map[string]graph.Owner{
		"owner_number":        {App: messenger.PageInbox, Until: until},
		"owner_string":        {App: messenger.PageInbox, Until: until},
		"owner_no_expiration": {App: messenger.PageInbox},
		"owner_hidden":        {Until: until, Hidden: true},
		"owner_idle":          {Idle: true},
		"owner_idle_no_data":  {Idle: true},
		"owner_idle_null":     {Idle: true},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newClient(t, answer(200, recorded(t, name))).Owner(t.Context(), ada)
			if err != nil || got != want {
				t.Errorf("Owner = %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

// An error that is null is none.
func TestNullError(t *testing.T) {
	t.Parallel()
	got, err := newClient(t, answer(200, `{"error":null,"data":[]}`)).Owner(t.Context(), ada)
	if err != nil || !got.Idle {
		t.Errorf("Owner = %+v, %v, want idle", got, err)
	}
}

// Nobody must be taken for idle because an answer says something else.
func TestOwnerIsNotGuessed(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty": ``, "null": `null`, "array": `[]`, "text": `"idle"`, "html": `<html>`, "cut": `{"data":[`,
		"error_text": `{"error":"no"}`, "error_object": `{"error":{}}`, "data_is_text": `{"data":"none"}`,
		"app_is_bool": `{"data":[{"thread_owner":{"app_id":true}}]}`, "expiration_is_text": `{"data":[{"thread_owner":{"expiration":"soon"}}]}`,
		"expiration_is_fraction": `{"data":[{"thread_owner":{"expiration":1.5}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newClient(t, answer(200, body)).Owner(t.Context(), ada)
			if !errors.Is(err, graph.ErrTransient) || got != (graph.Owner{}) {
				t.Errorf("Owner = %+v, %v, want ErrTransient", got, err)
			}
		})
	}
}

// One field that may not be read fails the whole profile: the name is asked for
// again without it, and from then on at once.
func TestProfileWithoutLocalePermission(t *testing.T) {
	t.Parallel()
	var asked []string
	denied, name := recorded(t, "profile_not_allowed"), recorded(t, "profile")
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		fields := r.URL.Query().Get("fields")
		asked = append(asked, fields)
		if strings.Contains(fields, "locale") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, denied)
			return
		}
		_, _ = io.WriteString(w, name)
	})
	for range 2 {
		if p, err := c.Profile(t.Context(), ada); err != nil || p.FirstName != "Ada" {
			t.Fatalf("Profile = %+v, %v, want Ada", p, err)
		}
	}
	equal(t, asked, []string{"first_name,last_name,profile_pic,locale", "first_name,last_name,profile_pic", "first_name,last_name,profile_pic"})
}

func TestProfileWithoutPermission(t *testing.T) {
	t.Parallel()
	calls := 0
	denied := recorded(t, "profile_not_allowed")
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, denied)
	})
	if _, err := c.Profile(t.Context(), ada); !errors.Is(err, graph.ErrPermission) || calls != 2 {
		t.Errorf("Profile error = %v after %d calls, want ErrPermission after 2", err, calls)
	}
}

func TestUploadedID(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ json, want string }{
		"string":         {json: `"1857777774821032"`, want: "1857777774821032"},
		"number":         {json: `1857777774821032`, want: "1857777774821032"},
		"beyond_2_to_53": {json: `9007199254740993`, want: "9007199254740993"},
		"opaque":         {json: `"a_1"`, want: "a_1"},
		"null":           {json: `null`},
		"float":          {json: `1.8e15`},
		"object":         {json: `{}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, answer(200, `{"attachment_id":`+tt.json+`}`))
			got, err := c.Upload(t.Context(), graph.Media{Type: graph.Image, URL: "https://example.com/"})
			if got != tt.want || errors.Is(err, graph.ErrUnknownOutcome) != (tt.want == "") {
				t.Errorf("Upload = %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestFeaturesNotShown(t *testing.T) {
	t.Parallel()
	_, err := newClient(t, answer(200, recorded(t, "features_not_shown"))).Features(t.Context())
	if !errors.Is(err, graph.ErrPermission) {
		t.Errorf("Features error = %v, want ErrPermission", err)
	}
}

// equal compares plain data by its JSON.
func equal(t *testing.T, got, want any) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}
