package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/webhook"
)

// hostile are bodies that no corpus would have.
var hostile = []string{
	"", "null", "{}", "[]", `{"object":"page","entry":[null,[],{}]}`,
	`{"object":"instagram","entry":[{"messaging":[{"message":{"text":"\ud800","text":"\udc00"}}]}]}`,
	"{\"object\":\"page\",\"entry\":[{\"id\":\"\xff\",\"\xfe\":[]}]}",
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
	f.Fuzz(func(t *testing.T, body []byte) {
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
			if e.Thread.PSID == "" && e.Kind != messenger.KindUnknown && e.Kind != messenger.KindAppRoles && e.Kind != messenger.KindPolicy {
				t.Errorf("%+v is nobody's", e)
			}
			if _, err := messenger.ParseThreadKey(e.Thread.String()); err != nil {
				t.Error(err)
			}
			if line := lines(t, []messenger.Event{e}); !json.Valid([]byte(line)) || strings.Count(line, "\n") != 1 {
				t.Errorf("line %q is not one JSON object", line)
			}
			stored, err := e.Marshal()
			if err != nil {
				t.Fatalf("%+v cannot be stored: %v", e, err)
			}
			back, err := messenger.UnmarshalEvent(stored)
			if diff := cmp.Diff(back, e); err != nil || diff != "" {
				t.Errorf("stored and read back: %v (-got +want):\n%s", err, diff)
			}
		}
	})
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
