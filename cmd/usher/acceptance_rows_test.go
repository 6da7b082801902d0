package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/messenger"
)

// recorder poses as Graph without a memory of its own: it accepts every call,
// writes it down, and fails where it was told to.
type recorder struct {
	url string

	mu     sync.Mutex
	calls  []recorded
	faults map[messenger.PSID][]fault
}

// recorded is a POST as it came.
type recorded struct {
	edge      string
	Recipient struct{ ID messenger.PSID }
	Message   struct {
		Text         string
		QuickReplies []struct{ Title, Payload string } `json:"quick_replies"`
		Attachment   struct {
			Payload struct {
				Text    string
				Buttons []struct{ Type, Title, Payload string }
			}
		}
	}
	Control *struct {
		Type string          `json:"control_type"`
		App  messenger.AppID `json:"app_id"`
	} `json:"thread_control"`
	status int // 0: it is held
}

// fault is what goes wrong with one POST.
type fault struct {
	status int
	body   string
	hold   <-chan struct{} // until it is closed; the call is then accepted
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	g := &recorder{faults: map[messenger.PSID][]fault{}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// ServeHTTP answers as the simplest of Graphs would.
func (g *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, `{"data":[]}`) // who has gone does not want it
		return
	}
	var c recorded
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil || r.Header.Get("Authorization") != "Bearer "+testToken {
		http.Error(w, "a call without JSON or token", http.StatusTeapot)
		return
	}
	c.edge = path.Base(r.URL.Path)

	g.mu.Lock()
	g.calls = append(g.calls, c)
	n := len(g.calls)
	f := fault{status: http.StatusOK}
	if fs := g.faults[c.Recipient.ID]; len(fs) > 0 {
		f, g.faults[c.Recipient.ID] = fs[0], fs[1:]
		f.status = cmp.Or(f.status, http.StatusOK)
	}
	g.mu.Unlock()
	if f.hold != nil {
		<-f.hold
	}
	g.mu.Lock()
	g.calls[n-1].status = f.status
	g.mu.Unlock()
	answer := `{"success":true}`
	switch {
	case f.status != http.StatusOK:
		answer = f.body
	case c.edge == "messages":
		answer = fmt.Sprintf(`{"recipient_id":%q,"message_id":"m_out_%d"}`, c.Recipient.ID, n)
	}
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, answer) // who has gone does not want it
}

// fail lets the next POSTs about a customer go wrong.
func (g *recorder) fail(psid messenger.PSID, f ...fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults[psid] = append(g.faults[psid], f...)
}

// of returns the POSTs about a customer.
func (g *recorder) of(psid messenger.PSID) []recorded {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.calls), func(c recorded) bool { return c.Recipient.ID != psid })
}

// String tells a POST in short, as the constants below.
func (c recorded) String() string {
	parts := []string{c.edge, strconv.Itoa(c.status)}
	words := strings.Fields(c.Message.Text + c.Message.Attachment.Payload.Text)
	parts = append(parts, words[:min(2, len(words))]...)
	for _, q := range c.Message.QuickReplies {
		parts = append(parts, "("+q.Title+")")
	}
	for _, b := range c.Message.Attachment.Payload.Buttons {
		parts = append(parts, "["+b.Type, b.Title, b.Payload+"]")
	}
	if c.Control != nil {
		parts = append(parts, c.Control.Type, string(c.Control.App))
	}
	return strings.Join(parts, " ")
}

// What the recorder sees, in short.
const (
	sawGreeting = "messages 200 Hello! This (Opening hours) (Where are you?) (Talk to a human)"
	sawHours    = "messages 200 We are (Opening hours) (Where are you?) (Talk to a human)"
	sawHandoff  = "messages 200 I'm passing [postback Back to bot USHER_BACK] pass "
	sawBack     = "messages 200 You're back"
	sawTake     = "take_thread_control 200"
)

// Events, as Meta writes them.

type item = map[string]any

// eventOf is an item that a customer causes.
func eventOf(psid messenger.PSID, what string, value item) item {
	return item{"sender": item{"id": psid}, "recipient": item{"id": testPage}, "timestamp": time.Now().UnixMilli(), what: value}
}

func says(psid messenger.PSID, mid, words string) item {
	return eventOf(psid, "message", item{"mid": mid, "text": words})
}

func taps(psid messenger.PSID, mid, title, payload string) item {
	return eventOf(psid, "message", item{"mid": mid, "text": title, "quick_reply": item{"payload": payload}})
}

func echoes(psid messenger.PSID, mid string, app any) item {
	return item{
		"sender": item{"id": testPage}, "recipient": item{"id": psid}, "timestamp": time.Now().UnixMilli(),
		"message": item{"mid": mid, "is_echo": true, "app_id": app, "text": "How can I help?"},
	}
}

// entryOf is an entry of a delivery: channel is messaging or standby.
func entryOf(channel string, items ...item) item {
	return item{"id": testPage, "time": time.Now().UnixMilli(), channel: items}
}

func bodyOf(entries ...item) []byte {
	body, err := json.Marshal(item{"object": "page", "entry": entries})
	if err != nil {
		panic(err) // maps and texts always encode
	}
	return body
}

func live(items ...item) []byte    { return bodyOf(entryOf("messaging", items...)) }
func standby(items ...item) []byte { return bodyOf(entryOf("standby", items...)) }

// row is a situation of the table: two replicas, and customers who nobody else uses.
type row struct {
	*testing.T
	*world

	a, b        *replica
	graph       *recorder
	psid, other messenger.PSID
}

// sends posts a body, which must be accepted, and waits until it is dealt with.
func (r row) sends(body []byte) {
	r.Helper()
	if status := r.a.post(r.T, body); status != http.StatusOK {
		r.Fatalf("the webhook answers %d, want 200", status)
	}
	r.settled(r.T)
}

// want wants exactly these POSTs about a customer.
func (r row) want(psid messenger.PSID, want ...string) {
	r.Helper()
	var got []string
	for _, c := range r.graph.of(psid) {
		got = append(got, c.String())
	}
	if !slices.Equal(got, want) {
		r.Errorf("Graph is called\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// wantNothingStored wants Redis to know nothing of a customer.
func (r row) wantNothingStored(psid messenger.PSID) {
	r.Helper()
	for key, content := range r.dump(r.T) {
		if strings.Contains(key+content, string(psid)) {
			r.Errorf("%s holds %s, want nothing of %s", key, content, psid)
		}
	}
}

// The table of situations that a webhook bot must get right.
func TestSituations(t *testing.T) {
	t.Parallel()
	graph := newRecorder(t)
	w := newWorld(t, graph.url)
	a, b := w.serve(t), w.serve(t)
	rows := map[string]func(row){
		"one_text": func(r row) {
			r.sends(live(says(r.psid, "m_1", "hello")))
			r.want(r.psid, sawGreeting)
		},
		"two_messages_in_one_entry": func(r row) {
			r.sends(live(says(r.psid, "m_2a", "hello"), says(r.psid, "m_2b", "opening hours")))
			r.want(r.psid, sawGreeting, sawHours)
		},
		"standby_entry_then_live_entry": func(r row) {
			r.sends(bodyOf(entryOf("standby", says(r.other, "m_3a", "hello")), entryOf("messaging", says(r.psid, "m_3b", "hello"))))
			r.want(r.psid, sawGreeting)
			r.want(r.other)
		},
		"live_entry_then_standby_entry": func(r row) {
			r.sends(bodyOf(entryOf("messaging", says(r.psid, "m_4a", "hello")), entryOf("standby", says(r.other, "m_4b", "hello"))))
			r.want(r.psid, sawGreeting)
			r.want(r.other)
		},
		"the_same_mid_twice": func(r row) {
			body := live(says(r.psid, "m_5", "hello"))
			r.sends(body)
			r.sends(body)
			r.sends(standby(says(r.psid, "m_5", "hello"))) // the channel is no part of what is the same
			r.want(r.psid, sawGreeting)
		},
		"the_same_mid_to_two_replicas_at_once": func(r row) {
			body := live(says(r.psid, "m_6", "hello"))
			var posts sync.WaitGroup
			for i := range 16 {
				posts.Go(func() {
					if status := []*replica{r.a, r.b}[i%2].post(r.T, body); status != http.StatusOK {
						r.Errorf("the webhook answers %d, want 200", status)
					}
				})
			}
			posts.Wait()
			r.settled(r.T)
			r.want(r.psid, sawGreeting)
		},
		"keyword_on_standby": func(r row) {
			r.sends(live(taps(r.psid, "m_7a", "Talk to a human", "USHER_HANDOFF")))
			r.sends(standby(says(r.psid, "m_7b", "bot")))
			r.want(r.psid, sawHandoff+inbox, sawTake, sawBack)
			wantStory(r.T, r.story(r.T, r.psid), `now +bot since .* \(keyword\)`)
		},
		"text_on_standby": func(r row) {
			r.sends(live(taps(r.psid, "m_8a", "Talk to a human", "USHER_HANDOFF")))
			r.sends(standby(says(r.psid, "m_8b", "Where is my parcel? A bot cannot know.")))
			r.want(r.psid, sawHandoff+inbox)
			wantStory(r.T, r.story(r.T, r.psid), `now +waiting since .* \(quick_reply\)`)
		},
		"done": func(r row) {
			r.sends(live(taps(r.psid, "m_9a", "Talk to a human", "USHER_HANDOFF")))
			r.sends(standby(echoes(r.psid, "m_9b", inbox)))
			r.sends(live(eventOf(r.psid, "pass_thread_control", item{
				"previous_owner_app_id": inbox, "new_owner_app_id": json.Number(testApp), "metadata": "Pass thread control from Page Inbox",
			})))
			r.want(r.psid, sawHandoff+inbox)
			wantStory(r.T, r.story(r.T, r.psid), `now +bot since .* \(done\)`)
			r.sends(live(says(r.psid, "m_9c", "opening hours")))
			r.want(r.psid, sawHandoff+inbox, strings.Replace(sawHours, "We are", "This is", 1)) // the disclosure goes first
		},
		"request_thread_control": func(r row) {
			r.sends(live(eventOf(r.psid, "request_thread_control", item{"requested_owner_app_id": 123456789, "metadata": "please"})))
			r.want(r.psid, sawHandoff+"123456789")
			wantStory(r.T, r.story(r.T, r.psid), `now +waiting since .* \(agent_asked\)`)
		},
		"agents_echo": func(r row) {
			r.sends(live(says(r.psid, "m_11a", "hello")))
			r.sends(live(echoes(r.psid, "m_11b", json.Number(inbox))))
			r.sends(standby(says(r.psid, "m_11c", "hello")))
			r.want(r.psid, sawGreeting)
			wantStory(r.T, r.story(r.T, r.psid), `now +human since .* \(agent_spoke\)`)
		},
		"bad_signature": func(r row) {
			body := live(says(r.psid, "m_12", "hello"))
			for name, header := range map[string]http.Header{
				"of_another_secret": {"X-Hub-Signature-256": {"sha256=" + hmacHex("another", body)}},
				"of_another_body":   {"X-Hub-Signature-256": {"sha256=" + hmacHex(testSecret, append(body, ' '))}},
				"empty":             {"X-Hub-Signature-256": {""}},
				"without_prefix":    {"X-Hub-Signature-256": {hmacHex(testSecret, body)}},
				"missing":           {},
				"only_in_sha1":      {"X-Hub-Signature": {"sha1=" + hmacHex(testSecret, body)[:40]}},
			} {
				if status := r.a.postSigned(r.T, body, header); status != http.StatusUnauthorized {
					r.Errorf("a signature %s is answered %d, want 401", name, status)
				}
			}
			r.wantNothingStored(r.psid)
			r.settled(r.T)
			r.want(r.psid)
		},
		"sha256_alone_suffices": func(r row) {
			body := live(says(r.psid, "m_13", "hello"))
			if status := r.b.postSigned(r.T, body, signed(body)); status != http.StatusOK {
				r.Errorf("a SHA-256 signature without a SHA-1 one is answered %d, want 200", status)
			}
			r.settled(r.T)
			r.want(r.psid, sawGreeting)
		},
		"graph_fails_once": func(r row) {
			r.graph.fail(r.psid, fault{status: http.StatusInternalServerError, body: `{"error":{"message":"An unexpected error","code":2}}`})
			r.sends(live(says(r.psid, "m_14", "hello")))
			r.want(r.psid, strings.Replace(sawGreeting, "200", "500", 1), sawGreeting)
		},
		"graph_fails_once_in_html": func(r row) {
			r.graph.fail(r.psid, fault{status: http.StatusInternalServerError, body: "<html>Sorry, something went wrong.</html>"})
			r.sends(live(says(r.psid, "m_17", "hello")))
			r.want(r.psid, strings.Replace(sawGreeting, "200", "500", 1), sawGreeting)
		},
		"another_app_controls_the_thread": func(r row) {
			r.graph.fail(r.psid, fault{
				status: http.StatusBadRequest,
				body:   `{"error":{"message":"(#10) Message failed to send because another app is controlling this thread now.","code":10,"error_subcode":2018300}}`,
			})
			r.sends(live(says(r.psid, "m_15", "hello")))
			r.want(r.psid, strings.Replace(sawGreeting, "200", "400", 1))
			wantStory(r.T, r.story(r.T, r.psid), `now +human since .* \(control_lost\)`)
		},
		"graph_is_slow": func(r row) {
			answer := make(chan struct{})
			release := sync.OnceFunc(func() { close(answer) })
			defer release()
			r.graph.fail(r.psid, fault{hold: answer})
			for _, body := range [][]byte{live(says(r.psid, "m_16a", "hello")), live(says(r.psid, "m_16b", "opening hours"))} {
				if status := r.a.post(r.T, body); status != http.StatusOK {
					r.Fatalf("the webhook answers %d, want 200", status)
				}
				eventually(r.T, "Graph holds the first call", func() bool { return len(r.graph.of(r.psid)) == 1 })
			}
			r.want(r.psid, strings.Replace(sawGreeting, "200", "0", 1)) // still
			if status := r.b.post(r.T, live(says(r.other, "m_16c", "hello"))); status != http.StatusOK {
				r.Errorf("the webhook answers %d, want 200", status)
			}
			eventually(r.T, "nobody else waits", func() bool { return len(r.graph.of(r.other)) == 1 })
			r.want(r.psid, strings.Replace(sawGreeting, "200", "0", 1)) // and still
			release()
			r.settled(r.T)
			r.want(r.psid, sawGreeting, sawHours)
		},
	}
	psid := 7000000000000200
	for name, test := range rows {
		r := row{
			world: w, a: a, b: b, graph: graph,
			psid: messenger.PSID(strconv.Itoa(psid)), other: messenger.PSID(strconv.Itoa(psid + 1)),
		}
		psid += 2
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.T = t
			test(r)
		})
	}
}
