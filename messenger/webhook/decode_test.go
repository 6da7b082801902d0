package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usher/messenger"
	"usher/messenger/webhook"
)

var update = flag.Bool("update", false, "rewrite testdata/webhook/*.golden")

const corpus = "../../testdata/webhook"

// Each payload of the corpus gives the events written beside it.
func TestCorpus(t *testing.T) {
	t.Parallel()
	payloads := payloads(t)
	if len(payloads) < 45 {
		t.Fatalf("%s has %d payloads, want 45 at least", corpus, len(payloads))
	}
	goldens, err := filepath.Glob(filepath.Join(corpus, "*.golden"))
	if err != nil || len(goldens) > len(payloads) {
		t.Errorf("%d goldens for %d payloads, %v", len(goldens), len(payloads), err)
	}
	for name, body := range payloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden := filepath.Join(corpus, name+".golden")
			got := lines(t, decode(t, string(body)))
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, string(want)); diff != "" {
				t.Errorf("events (-got +want):\n%s", diff)
			}
		})
	}
}

// payloads reads the corpus, by name.
func payloads(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(corpus, "*.json"))
	if err != nil {
		tb.Fatal(err)
	}
	payloads := make(map[string][]byte)
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		payloads[strings.TrimSuffix(filepath.Base(f), ".json")] = body
	}
	return payloads
}

func decode(tb testing.TB, body string) []messenger.Event {
	tb.Helper()
	events, err := webhook.Decode([]byte(body))
	if err != nil {
		tb.Fatalf("Decode(%.200s) = %v", body, err)
	}
	return events
}

func lines(tb rapid.TB, events []messenger.Event) string {
	tb.Helper()
	var b bytes.Buffer
	for _, e := range events {
		if err := webhook.WriteLine(&b, e); err != nil {
			tb.Fatal(err)
		}
	}
	return b.String()
}

// What the lines of the corpus do not show.
func TestDecodeWhole(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		payload string
		want    messenger.Event
	}{
		"like": {payload: "message_like", want: messenger.Event{
			ID: "message:m_like", Kind: messenger.KindMessage, MID: "m_like",
			Attachments: []string{"image"}, Sticker: messenger.LikeSticker,
		}},
		"sticker_id_quoted": {payload: "message_sticker_id_quoted", want: messenger.Event{
			ID: "message:m_sticker", Kind: messenger.KindMessage, MID: "m_sticker",
			Attachments: []string{"sticker"}, Sticker: messenger.LikeSticker,
		}},
		"fallback_has_no_payload": {payload: "message_fallback_without_payload", want: messenger.Event{
			ID: "message:m_fallback", Kind: messenger.KindMessage, MID: "m_fallback",
			Text: "https://example.com", Attachments: []string{"fallback"},
		}},
		"several_attachments": {payload: "message_attachments", want: messenger.Event{
			ID: "message:m_att", Kind: messenger.KindMessage, MID: "m_att", Text: "two", Attachments: []string{"image", "file"},
		}},
		"ai_generated": {payload: "echo_ai_generated", want: messenger.Event{
			ID: "echo:m_ai", Kind: messenger.KindEcho, MID: "m_ai", Standby: true,
			Text: "We open at nine.", App: messenger.BusinessAI, AIGenerated: true,
		}},
		"quick_reply": {payload: "quick_reply", want: messenger.Event{
			ID: "quick_reply:m_qr", Kind: messenger.KindQuickReply, MID: "m_qr", Text: "Yes", Payload: "YES",
		}},
		"pass": {payload: "pass", want: messenger.Event{
			ID: "pass:1001:7001:222:111:1458692752", Kind: messenger.KindPass,
			NewOwner: "222", PreviousOwner: "111", Metadata: "order 7",
		}},
		"take": {payload: "take", want: messenger.Event{
			ID: "take:1001:7001:263902037430900:222:1458692752", Kind: messenger.KindTake,
			NewOwner: messenger.PageInbox, PreviousOwner: "222",
		}},
		"request_has_the_app_as_new_owner": {payload: "request", want: messenger.Event{
			ID: "request:1001:7001:333::1458692752", Kind: messenger.KindRequest, App: "333", Metadata: "agent wants in",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.want.Thread = messenger.ThreadKey{Page: "1001", PSID: "7001"}
			tt.want.At = time.UnixMilli(1458692752478).UTC()
			got := decode(t, string(payloads(t)[tt.payload]))
			if diff := cmp.Diff(got, []messenger.Event{tt.want}); diff != "" {
				t.Errorf("Decode (-got +want):\n%s", diff)
			}
		})
	}
}

// delivery wraps items as one entry's messaging.
func delivery(items ...string) string {
	return `{"object":"page","entry":[{"id":"1001","time":1458692752999,"messaging":[` + strings.Join(items, ",") + `]}]}`
}

// read is an item without a mid: its id is a hash.
const read = `{"sender":{"id":"7001"},"recipient":{"id":"1001"},"timestamp":1458692752478,"read":{"watermark":1}}`

// An event keeps its id however the delivery that repeats it is written, and
// shares it with no other event.
func TestEventID(t *testing.T) {
	t.Parallel()
	with := func(part string) string { return delivery(strings.Replace(read, `"read":{"watermark":1}`, part, 1)) }
	take := func(item string) string {
		return strings.Replace(item, `"read":{"watermark":1}`, `"take_thread_control":{"new_owner_app_id":5}`, 1)
	}
	tests := map[string]struct {
		a, b string
		same bool
	}{
		"space_between":           {a: delivery(read), b: delivery(strings.ReplaceAll(read, ",", " ,\n\t")), same: true},
		"space_within_a_text":     {a: delivery(strings.Replace(read, "1}", `"a b"}`, 1)), b: delivery(strings.Replace(read, "1}", `"ab"}`, 1))},
		"space_after_a_quote":     {a: delivery(strings.Replace(read, "1}", `"\" b"}`, 1)), b: delivery(strings.Replace(read, "1}", `"\"b"}`, 1))},
		"channel":                 {a: delivery(read), b: strings.Replace(delivery(read), `"messaging"`, `"standby"`, 1), same: true},
		"entry_time":              {a: delivery(read), b: strings.Replace(delivery(read), "2999", "3999", 1), same: true},
		"other_page":              {a: delivery(read), b: strings.Replace(delivery(read), `"id":"1001","time"`, `"id":"1002","time"`, 1)},
		"text_without_mid":        {a: with(`"message":{"text":"a"}`), b: with(`"message":{"text":"b"}`)},
		"edits_of_one_mid":        {a: with(`"message_edit":{"mid":"m","text":"a"}`), b: with(`"message_edit":{"mid":"m","text":"b"}`)},
		"message_and_echo":        {a: with(`"message":{"mid":"m"}`), b: with(`"message":{"mid":"m","is_echo":true}`)},
		"message_told_otherwise":  {a: with(`"message":{"mid":"m","text":"a"}`), b: with(`"message":{"text":"a","mid":"m","nlp":{}}`), same: true},
		"other_content":           {a: delivery(read), b: delivery(strings.Replace(read, "1}", "2}", 1))},
		"control_channel":         {a: delivery(take(read)), b: strings.Replace(delivery(take(read)), `"messaging"`, `"standby"`, 1), same: true},
		"control_within_a_second": {a: delivery(take(read)), b: delivery(strings.Replace(take(read), "1458692752478", "1458692752", 1)), same: true},
		"control_a_second_later":  {a: delivery(take(read)), b: delivery(strings.Replace(take(read), "1458692752478", "1458692753478", 1))},
		"control_other_owner":     {a: delivery(take(read)), b: delivery(strings.Replace(take(read), ":5}", ":6}", 1))},
		"control_other_previous":  {a: delivery(take(read)), b: delivery(strings.Replace(take(read), ":5}", `:5,"previous_owner_app_id":6}`, 1))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := decode(t, tt.a), decode(t, tt.b)
			if len(a) != 1 || len(b) != 1 {
				t.Fatalf("Decode gives %d and %d events, want one each", len(a), len(b))
			}
			if got := a[0].ID == b[0].ID; got != tt.same {
				t.Errorf("%s and %s: same id %v, want %v", a[0].ID, b[0].ID, got, tt.same)
			}
		})
	}
}

// Parts of one item that have no mid are told apart, also two of one kind.
func TestEventIDOfSeveralParts(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, e := range decode(t, string(payloads(t)["item_of_several_kinds"])) {
		if seen[e.ID] {
			t.Errorf("%s %q has the id of another part: %s", e.Kind, e.Field, e.ID)
		}
		seen[e.ID] = true
	}
	if len(seen) != 7 {
		t.Errorf("%d ids, want 7", len(seen))
	}
}

// What is not understood is kept, as far as there is room.
func TestDecodeKeepsRaw(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ body, want string }{
		"item":          {body: delivery(`{"sender":{"id":"7001"}, "game_play":1}`), want: `{"sender":{"id":"7001"}, "game_play":1}`},
		"malformed":     {body: delivery(` 7 `), want: `7`},
		"array":         {body: `{"object":"page","entry":[{"id":"1001","calls":[1, 2]}]}`, want: `[1, 2]`},
		"change":        {body: `{"object":"page","entry":[{"id":"1001","changes":[{"field":"feed","value":1}]}]}`, want: `{"field":"feed","value":1}`},
		"not_utf8":      {body: delivery("[\"\xff\"]"), want: "[\"\uFFFD\"]"},
		"long":          {body: delivery(`["` + strings.Repeat("x", 70_000) + `"]`), want: `["` + strings.Repeat("x", 64<<10-2)},
		"long_and_wide": {body: delivery(`["` + strings.Repeat("ä", 70_000) + `"]`), want: `["` + strings.Repeat("ä", 32<<10-1)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := decode(t, tt.body)
			if len(events) != 1 || events[0].Kind != messenger.KindUnknown {
				t.Fatalf("Decode = %v, want one unknown event", events)
			}
			if got := events[0].Raw; got != tt.want {
				t.Errorf("Raw = %.50q… of %d bytes, want %.50q… of %d", got, len(got), tt.want, len(tt.want))
			}
		})
	}
	if events := decode(t, delivery(read)); events[0].Raw != "" {
		t.Errorf("Raw of what is understood = %q, want none", events[0].Raw)
	}
}

// Whatever is signed is read without harm.
func TestDecodeHostile(t *testing.T) {
	t.Parallel()
	message := func(members string) string {
		return delivery(`{"sender":{"id":"7001"},"recipient":{"id":"1001"},"message":{` + members + `}}`)
	}
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	tests := map[string]struct{ body, want string }{
		"names_are_exact":       {body: message(`"mid":"m","text":"a","TEXT":"b","Text":"c"`), want: `"text":"a"`},
		"name_escaped":          {body: message(`"mid":"m","te\u0078t":"a"`), want: `"text":"a"`},
		"of_two_names_the_last": {body: message(`"mid":"m","text":"a","text":"b"`), want: `"text":"b"`},
		"invalid_utf8":          {body: message("\"mid\":\"m\",\"text\":\"a\xffb\""), want: "\"text\":\"a\uFFFDb\""},
		"lone_surrogate":        {body: message(`"mid":"m","text":"a\ud83d"`), want: "\"text\":\"a\uFFFD\""},
		"text_is_a_number":      {body: message(`"mid":"m","text":1e400`), want: `"text":"1e400"`},
		"deep_but_legal":        {body: message(`"mid":"m","text":"a","deep":` + nested(9_000)), want: `"text":"a"`},
		"quotes_and_brackets":   {body: message(`"x":"\\","y":"]}\"{[","mid":"m","text":"a"`), want: `"text":"a"`},
		"space_everywhere":      {body: strings.NewReplacer("{", " { ", "}", " } ", "[", "\r\n[", "]", "\t]", ":", " : ", ",", " , ").Replace(message(`"mid":"m","text":"a"`)), want: `"text":"a"`},
		"space_around_an_id":    {body: strings.Replace(message(`"mid":"m","text":"a"`), "7001", " 7001\\t", 1), want: `"psid":"7001"`},
		"id_with_a_colon":       {body: strings.Replace(message(`"mid":"m","text":"a"`), "7001", "7:1", 1), want: `"field":"sender"`},
		"id_is_a_float":         {body: strings.Replace(message(`"mid":"m","text":"a"`), `"7001"`, "7e3", 1), want: `"field":"sender"`},
		"sender_is_a_text":      {body: strings.Replace(message(`"mid":"m","text":"a"`), `{"id":"7001"}`, `"7001"`, 1), want: `"field":"sender"`},
		"page_writes_to_itself": {body: strings.Replace(message(`"mid":"m","text":"a"`), "7001", "1001", 1), want: `"field":"sender"`},
		"name_too_long":         {body: delivery(`{"` + strings.Repeat("x", 1000) + `":1}`), want: `"field":"` + strings.Repeat("x", 128) + `"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := lines(t, decode(t, tt.body)); !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("events = %s, want one with %s", got, tt.want)
			}
		})
	}
}

// Decode says how far it read what is not JSON.
func TestDecodeNotJSON(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		want int64
	}{
		"empty":       {body: "", want: 0},
		"cut_off":     {body: `{"object":"page"`, want: 16},
		"bare_word":   {body: `{"object":page}`, want: 11},
		"two_values":  {body: `{} {}`, want: 4},
		"form":        {body: "object=page", want: 1},
		"too_deep":    {body: strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), want: 10_001},
		"byte_order":  {body: "\uFEFF{}", want: 1},
		"raw_newline": {body: "{\"a\":\"\n\"}", want: 7},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := webhook.Decode([]byte(tt.body))
			syntax, ok := errors.AsType[*webhook.SyntaxError](err)
			if !ok || events != nil {
				t.Fatalf("Decode = %v, %v, want a SyntaxError", events, err)
			}
			if syntax.Offset != tt.want {
				t.Errorf("Offset = %d, want %d", syntax.Offset, tt.want)
			}
			if cause, ok := errors.AsType[*json.SyntaxError](err); !ok || !strings.Contains(err.Error(), strconv.FormatInt(cause.Offset, 10)) {
				t.Errorf("%v (%v) does not say where", err, cause)
			}
		})
	}
}

// JSON that is no delivery has no events and is no error.
func TestDecodeForeign(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"null", "[]", `"page"`, "7", "{}", ` {"object":"page"} `, `{"object":"page","entry":null}`, `{"object":"page","entry":[]}`,
		`{"object":"whatsapp_business_account","entry":[{"id":"1"}]}`, `{"Object":"page","entry":[7]}`,
	} {
		if events := decode(t, body); len(events) != 0 {
			t.Errorf("Decode(%s) = %v, want nothing", body, events)
		}
	}
}

// The events do not change with the text they were read from, which is reused.
func TestDecodeKeepsNothingOfBody(t *testing.T) {
	t.Parallel()
	body := payloads(t)["message_text"]
	events := decode(t, string(body))
	want := lines(t, events)
	again, err := webhook.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	if got := lines(t, again); got != want {
		t.Errorf("events = %s, want %s", got, want)
	}
}

// A line says all or why not.
func TestWriteLineFails(t *testing.T) {
	t.Parallel()
	want := errors.New("disk full")
	if err := webhook.WriteLine(fullDisk{want}, decode(t, delivery(read))[0]); !errors.Is(err, want) {
		t.Errorf("WriteLine = %v, want %v", err, want)
	}
}

// fullDisk is a writer that fails.
type fullDisk struct{ err error }

func (d fullDisk) Write([]byte) (int, error) { return 0, d.err }

// A postback that standby tells without its payload is not taken for the one with
// it, whichever comes first; each is still only once.
func TestStrippedPostbackIsAnotherEvent(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, part := range []string{
		`"standby":[{"sender":{"id":"2"},"recipient":{"id":"1"},"timestamp":1458692752478,"postback":{"mid":"m_1","title":"Back to bot"}}]`,
		`"messaging":[{"sender":{"id":"2"},"recipient":{"id":"1"},"timestamp":1458692752478,"postback":{"mid":"m_1","title":"Back to bot","payload":"P"}}]`,
		`"standby":[{"sender":{"id":"2"},"recipient":{"id":"1"},"timestamp":1458692752478,"postback":{"mid":"m_1","title":"Back to bot","payload":"P"}}]`,
	} {
		events, err := webhook.Decode([]byte(`{"object":"page","entry":[{"id":"1","time":1,` + part + `}]}`))
		if err != nil || len(events) != 1 {
			t.Fatalf("Decode() = %v, %v", events, err)
		}
		ids[events[0].ID] = true
	}
	if len(ids) != 2 {
		t.Errorf("ids = %v, want one without payload and one with it, whatever the channel", ids)
	}
}
