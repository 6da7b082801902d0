package simulator_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"usher/messenger"
	"usher/messenger/simulator"
	"usher/messenger/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	bot   messenger.AppID  = "1517776481860111"
	desk  messenger.AppID  = "2262510160704936"
	page  messenger.PageID = "1000000000000001"
	ann   messenger.PSID   = "7000000000000001"
	token                  = "page-token"
)

// world is a Page, a clock that stands still, and a bot that only listens.
type world struct {
	*simulator.Meta

	t   *testing.T
	ear *ear

	mu  sync.Mutex
	now time.Time
}

func newWorld(t *testing.T, edits ...func(*simulator.Options)) *world {
	t.Helper()
	w := &world{t: t, ear: &ear{t: t, secret: "app-secret"}, now: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)}
	opt := simulator.Options{
		App: bot, AppSecret: "app-secret", VerifyToken: "verify", Page: page, PageToken: token,
		Webhook: w.ear, Now: w.clock, Seed: 1,
	}
	for _, edit := range edits {
		edit(&opt)
	}
	meta, err := simulator.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	w.Meta = meta
	t.Cleanup(meta.Close)
	meta.Customer(ann).Named("Ann", "Lee")
	return w
}

func zeroConfig(o *simulator.Options) { o.ZeroConfig = true }

func idsAsStrings(o *simulator.Options) { o.AppIDs = simulator.AppIDsStrings }

func everyField(o *simulator.Options) {
	o.Fields = append(simulator.DefaultFields(), "message_deliveries", "message_edits", "response_feedback", "messaging_account_linking")
}

func deskIsDefault(o *simulator.Options) { o.DefaultApp = desk }

func doubt(edit func(*simulator.Doubts)) func(*simulator.Options) {
	return func(o *simulator.Options) { edit(&o.Doubts) }
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// says lets Ann write.
func (w *world) says(text string) messenger.MessageID {
	w.t.Helper()
	mid, err := w.Customer(ann).Says(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return mid
}

// told returns what the bot was told since the last call.
func (w *world) told() []string {
	w.t.Helper()
	if err := w.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return w.ear.take()
}

func (w *world) wantTold(want ...string) {
	w.t.Helper()
	wantSame(w.t, "the bot", want, w.told())
}

// wantSame compares lists of lines.
func wantSame(t *testing.T, of string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", of, diff)
	}
}

func (w *world) wantOwner(want messenger.AppID) {
	w.t.Helper()
	if got, _ := w.Owner(ann); got != want {
		w.t.Errorf("owner = %q, want %q", got, want)
	}
}

// answer is what Graph answered.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

// refused returns the code and subcode of an error, and its message.
func (a answer) refused() (code, subcode int, message string) {
	e, _ := a.body["error"].(map[string]any)
	return int(number(e["code"])), int(number(e["error_subcode"])), fmt.Sprint(e["message"])
}

func number(v any) float64 {
	f, _ := v.(float64)
	return f
}

func (a answer) want(t *testing.T, status, code, subcode int) {
	t.Helper()
	if gotCode, gotSub, text := a.refused(); a.status != status || gotCode != code || gotSub != subcode {
		t.Errorf("answer = %d, code %d/%d (%s), want %d, code %d/%d", a.status, gotCode, gotSub, text, status, code, subcode)
	}
}

func (a answer) wantOK(t *testing.T) {
	t.Helper()
	a.want(t, http.StatusOK, 0, 0)
}

// try calls Graph as the bot; err is the connection's.
func (w *world) try(method, path, body string) (answer, error) {
	w.t.Helper()
	req := w.request(method, path, body)
	req.Header.Set("Authorization", "Bearer "+token)
	return w.do(req)
}

// request makes a call to Graph, without a token.
func (w *world) request(method, path, body string) *http.Request {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "https://graph.example/v26.0/"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}

func (w *world) do(req *http.Request) (answer, error) {
	w.t.Helper()
	res, err := w.Client().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer shut(w.t, res)
	a := answer{status: res.StatusCode, header: res.Header}
	if err := json.NewDecoder(res.Body).Decode(&a.body); err != nil {
		w.t.Fatalf("%s %s: answer is not JSON: %v", req.Method, req.URL, err)
	}
	return a, nil
}

func shut(t *testing.T, res *http.Response) {
	t.Helper()
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
}

// dig returns what stands in an answer under keys, which an integer index is too.
func dig(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch at := v.(type) {
		case map[string]any:
			v = at[fmt.Sprint(step)]
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(at) {
				t.Fatalf("no %v in %v", step, at)
			}
			v = at[i]
		default:
			t.Fatalf("no %v in %v", step, v)
		}
	}
	return v
}

func (w *world) call(method, path, body string) answer {
	w.t.Helper()
	a, err := w.try(method, path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// post calls an edge of the Page about Ann. rest is the body's other fields.
func (w *world) post(edge, rest string) answer {
	w.t.Helper()
	if rest != "" {
		rest = "," + rest
	}
	return w.call(http.MethodPost, string(page)+"/"+edge, `{"recipient":{"id":"`+string(ann)+`"}`+rest+`}`)
}

func (w *world) send(text, rest string) answer {
	w.t.Helper()
	if rest != "" {
		rest = "," + rest
	}
	return w.post("messages", fmt.Sprintf(`"messaging_type":"RESPONSE","message":{"text":%q}%s`, text, rest))
}

// ear listens to webhooks, checks their signature, and answers as it is told.
type ear struct {
	t      *testing.T
	secret string

	mu     sync.Mutex
	heard  []string
	bodies [][]byte
	status func() int // nil is always 200
}

func (e *ear) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		if r.URL.Query().Get("hub.verify_token") != "verify" || r.URL.Query().Get("hub.mode") != "subscribe" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, r.URL.Query().Get("hub.challenge"))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		e.t.Errorf("read the delivery: %v", err)
	}
	mac := hmac.New(sha256.New, []byte(e.secret))
	mac.Write(body)
	if got, want := r.Header.Get("X-Hub-Signature-256"), "sha256="+hex.EncodeToString(mac.Sum(nil)); got != want {
		e.t.Errorf("signature = %s, want %s", got, want)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	status := http.StatusOK
	if e.status != nil {
		status = e.status()
	}
	if status == http.StatusOK {
		e.bodies = append(e.bodies, body)
		e.heard = append(e.heard, summaries(e.t, body)...)
	}
	w.WriteHeader(status)
}

func (e *ear) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := e.heard
	e.heard = nil
	return heard
}

func (e *ear) last() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bodies[len(e.bodies)-1]
}

type heardItem struct {
	Sender, Recipient struct{ ID string }
	Timestamp         int64
	Message           *struct {
		IsEcho      bool                      `json:"is_echo"`
		AppID       messenger.AppID           `json:"app_id"`
		MID         string                    `json:"mid"`
		AdminText   string                    `json:"admin_text"`
		Metadata    string                    `json:"metadata"`
		Text        string                    `json:"text"`
		QuickReply  *struct{ Payload string } `json:"quick_reply"`
		Attachments []struct{ Type string }
		Referral    *heardReferral
	}
	Postback *struct {
		MID, Title, Payload string
		Referral            *heardReferral
	}
	Pass     *heardControl `json:"pass_thread_control"`
	Take     *heardControl `json:"take_thread_control"`
	Request  *heardControl `json:"request_thread_control"`
	Read     *struct{ Watermark int64 }
	Reaction *struct{ Reaction, Action, MID string }
	Referral *heardReferral
	Edit     *struct{ Text string } `json:"message_edit"`
}

type heardReferral struct {
	Ref, Source, Type string
	AdID              string `json:"ad_id"`
}

type heardControl struct {
	Previous  messenger.AppID `json:"previous_owner_app_id"`
	New       messenger.AppID `json:"new_owner_app_id"`
	Requested messenger.AppID `json:"requested_owner_app_id"`
	Metadata  string          `json:"metadata"`
}

type heardBody struct {
	Object string
	Entry  []struct {
		ID                 string
		Time               int64
		Messaging, Standby []heardItem
		Hop                any `json:"hop_context"`
	}
}

// summaries writes each event of a body as one line, control by names.
func summaries(t *testing.T, body []byte) (lines []string) {
	t.Helper()
	var b heardBody
	if err := json.Unmarshal(body, &b); err != nil {
		t.Errorf("delivery is not JSON: %v", err)
	}
	events, err := webhook.Decode(body)
	if err != nil {
		t.Errorf("our decoder: %v", err)
	}
	for _, e := range events {
		if e.Kind == messenger.KindUnknown && e.Field != "admin_text" {
			t.Errorf("our decoder does not understand %s: %s", e.Field, e.Raw)
		}
	}
	for _, e := range b.Entry {
		for _, i := range e.Messaging {
			lines = append(lines, "messaging "+i.summary())
		}
		for _, i := range e.Standby {
			lines = append(lines, "standby "+i.summary())
		}
	}
	return lines
}

func (i heardItem) summary() string {
	switch {
	case i.Message != nil && i.Message.IsEcho:
		said := []string{"echo of", name(i.Message.AppID), strconv.Quote(i.Message.Text)}
		if i.Message.Metadata != "" {
			said = append(said, i.Message.Metadata)
		}
		for _, a := range i.Message.Attachments {
			said = append(said, a.Type)
		}
		return strings.Join(said, " ")
	case i.Message != nil && i.Message.QuickReply != nil:
		return fmt.Sprintf("quick reply %q %s", i.Message.Text, i.Message.QuickReply.Payload)
	case i.Message != nil && len(i.Message.Attachments) > 0:
		types := []string{"message"}
		for _, a := range i.Message.Attachments {
			types = append(types, a.Type)
		}
		return strings.Join(types, " ")
	case i.Message != nil && i.Message.AdminText != "":
		return fmt.Sprintf("notice %q", i.Message.AdminText)
	case i.Message != nil && i.Message.Referral != nil:
		return fmt.Sprintf("message %q by ad %s", i.Message.Text, i.Message.Referral.AdID)
	case i.Message != nil:
		return fmt.Sprintf("message %q", i.Message.Text)
	case i.Postback != nil && i.Postback.Referral != nil:
		return fmt.Sprintf("postback %q %s by %s", i.Postback.Title, i.Postback.Payload, i.Postback.Referral.Ref)
	case i.Postback != nil:
		return fmt.Sprintf("postback %q %s", i.Postback.Title, i.Postback.Payload)
	case i.Pass != nil:
		return fmt.Sprintf("pass %s to %s %q", name(i.Pass.Previous), name(i.Pass.New), i.Pass.Metadata)
	case i.Take != nil:
		return fmt.Sprintf("take %s to %s %q", name(i.Take.Previous), name(i.Take.New), i.Take.Metadata)
	case i.Request != nil:
		return fmt.Sprintf("request by %s %q", name(i.Request.Requested), i.Request.Metadata)
	case i.Read != nil:
		return "read"
	case i.Reaction != nil:
		return i.Reaction.Action + " " + i.Reaction.Reaction
	case i.Referral != nil:
		return strings.Join([]string{"referral", i.Referral.Ref, i.Referral.Source, i.Referral.Type}, " ")
	case i.Edit != nil:
		return fmt.Sprintf("edit %q", i.Edit.Text)
	}
	return "nothing"
}

func name(id messenger.AppID) string {
	names := map[messenger.AppID]string{
		bot: "bot", desk: "desk", messenger.PageInbox: "inbox", messenger.BusinessAI: "ai", messenger.LeadGen: "lead app", "": "nobody",
	}
	if n, ok := names[id]; ok {
		return n
	}
	return string(id)
}
