package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usher/messenger"
	"usher/messenger/webhook"
)

// hostile are bodies that no corpus would have.
var hostile = []string{
	"", "null", "{}", "[]", `{"object":"page","entry":[null,[],{}]}`,
	`{"object":"instagram","entry":[{"messaging":[{"message":{"text":"\ud800","text":"\udc00"}}]}]}`,
	"{\"object\":\"page\",\"entry\":[{\"id\":\"\xff\",\"\xfe\":[]}]}",
	"{\"object\":\"page\",\"entry\":[{\"messaging\":[{\"sender\":{\"id\":\"1\"},\"message\":{\"quick_reply\":{\"payload\":[\"\xff\"]}}}]}]}",
	`{"object":"page","entry":[{"id":1e3,"time":"NaN","messaging":[{"sender":{"id":-1},"timestamp":"0x1p40","message":{}}]}]}`,
}

// Whatever is decoded can be told apart, printed and stored, and is always the
// same.
func FuzzDecode(f *testing.F) {
	for _, body := range payloads(f) {
		f.Add(body)
	}
	for _, body := range hostile {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkDecode(t, body) })
}

// What random bytes hardly ever are: JSON of Meta's words in the wrong places.
func TestDecodeAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var items []string
		for range rapid.IntRange(1, 3).Draw(t, "items") {
			items = append(items, fmt.Sprintf(`{"sender":{"id":%s},"recipient":%s,"timestamp":%s,%q: %s,%q: %s}`,
				scalars().Draw(t, "sender"), anything(t, 1), scalars().Draw(t, "timestamp"),
				words().Draw(t, "first"), anything(t, 3), words().Draw(t, "second"), anything(t, 2)))
		}
		checkDecode(t, fmt.Appendf(nil, `{"object":"page","entry":[%s,{"id":%s,"time":%s,%q:%s,%q:[%s]}]}`,
			anything(t, 2), scalars().Draw(t, "id"), scalars().Draw(t, "time"), words().Draw(t, "array"), anything(t, 3),
			rapid.SampledFrom([]string{"messaging", "standby", "changes"}).Draw(t, "channel"), strings.Join(items, ", ")))
	})
}

func words() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{
		"id", "time", "messaging", "standby", "changes", "messaging_handovers", "hop_context", "calls", "field", "value", "sender", "user_ref",
		"message", "message", "message", "postback", "pass_thread_control", "take_thread_control", "request_thread_control", "app_roles", "policy-enforcement",
		"read", "optin", "order", "response_feedback", "mid", "text", "quick_reply", "payload", "attachments", "sticker_id", "is_echo", "is_deleted",
		"admin_text", "app_id", "new_owner_app_id", "metadata", "Text", "x:y",
	})
}

func scalars() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"null", "true", "false", "0", "-1", "7001", "1458692752478", "1.5e9", "1e400", `""`, `"1001"`, `"7001"`, `"7:1"`, `" "`, `"\ud800"`, "\"\xff\"",
			`"2026-01-02T03:04:05Z"`, `"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59.9999Z"`, "253402300799999.4", "253402300799", "0.5",
		}),
		rapid.Custom(func(t *rapid.T) string { return strconv.Quote(words().Draw(t, "word")) }),
	)
}

// anything draws JSON that nests up to depth.
func anything(t *rapid.T, depth int) string {
	form := "scalar"
	if depth > 0 {
		form = rapid.SampledFrom([]string{"object", "object", "array", "scalar"}).Draw(t, "form")
	}
	var parts []string
	switch form {
	case "object":
		for range rapid.IntRange(0, 6).Draw(t, "members") {
			parts = append(parts, strconv.Quote(words().Draw(t, "name"))+": "+anything(t, depth-1))
		}
		return "{" + strings.Join(parts, ",\n") + "}"
	case "array":
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			parts = append(parts, anything(t, depth-1))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return scalars().Draw(t, "scalar")
}

func checkDecode(t rapid.TB, body []byte) {
	t.Helper()
	events, err := webhook.Decode(body)
	if (err == nil) != json.Valid(body) {
		t.Fatalf("Decode = %v of JSON that is valid: %v", err, json.Valid(body))
	}
	again, _ := webhook.Decode(bytes.Clone(body))
	if diff := cmp.Diff(events, again); diff != "" {
		t.Fatalf("Decode differs from itself:\n%s", diff)
	}
	for _, e := range events {
		if e.ID == "" || e.Kind == "" || e.Thread.Page == "" || (e.Kind == messenger.KindUnknown) != (e.Raw != "") {
			t.Errorf("%+v lacks id, kind, Page or what was not understood", e)
		}
		if e.At.Location() != time.UTC || e.At.Nanosecond()%int(time.Millisecond) != 0 {
			t.Errorf("%v is not UTC in milliseconds", e.At)
		}
		if e.Thread.PSID == "" && e.Kind != messenger.KindUnknown && e.Kind != messenger.KindAppRoles && e.Kind != messenger.KindPolicy {
			t.Errorf("%+v is nobody's", e)
		}
		if _, err := messenger.ParseThreadKey(e.Thread.String()); err != nil {
			t.Errorf("%v", err)
		}
		if line := lines(t, []messenger.Event{e}); !json.Valid([]byte(line)) || strings.Count(line, "\n") != 1 {
			t.Errorf("line %q is not one JSON object", line)
		}
		stored, err := e.Marshal()
		if err != nil {
			t.Fatalf("%+v cannot be stored: %v", e, err)
		}
		back, err := messenger.UnmarshalEvent(string(stored))
		if diff := cmp.Diff(back, e); err != nil || diff != "" {
			t.Errorf("stored and read back: %v (-got +want):\n%s", err, diff)
		}
	}
}

// A delivery is answered with 200 only if a secret signed it and all it holds is
// stored.
func FuzzHandler(f *testing.F) {
	good := func(body []byte) string { return webhook.Sign([]byte(secret), body) }
	for _, body := range payloads(f) {
		f.Add("X-Hub-Signature-256", good(body), "", body, false)
		f.Add("X-Hub-Signature-256", good(body), "", body, true)
	}
	for _, body := range hostile {
		f.Add("X-Hub-Signature-256", good([]byte(body)), "", []byte(body), false)
	}
	f.Add("X-Hub-Signature", "sha1=00", "gzip", []byte("{}"), false)
	f.Add("X-Hub-Signature-256", "sha256=", "identity", []byte("{}"), false)
	f.Fuzz(func(t *testing.T, name, signature, encoding string, body []byte, down bool) {
		var stored []messenger.Event
		h := newHandler(t, webhook.Options{Inbox: inboxFunc(func(_ context.Context, events []messenger.Event) error {
			if down {
				return context.DeadlineExceeded
			}
			stored = events
			return nil
		})})
		r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body))
		r.Header.Set(name, signature)
		r.Header.Set("Content-Encoding", encoding)
		w := serve(h, r)

		signed := r.Header.Get("X-Hub-Signature-256") == good(body)
		if w.Code != http.StatusOK {
			if signed && !down && (encoding == "" || encoding == "identity") {
				t.Errorf("answer = %d to a good delivery", w.Code)
			}
			if bytes.Contains(w.Body.Bytes(), []byte(good(body)[7:])) {
				t.Errorf("answer tells the signature: %s", w.Body)
			}
			return
		}
		events, err := webhook.Decode(body)
		if err != nil && (len(stored) != 1 || stored[0].Field != "not_json") {
			t.Errorf("not JSON, but stored %+v", stored)
		}
		if diff := cmp.Diff(stored, events); !signed || err == nil && diff != "" {
			t.Errorf("answer = 200 to a delivery that is signed: %v (-stored +held):\n%s", signed, diff)
		}
	})
}
