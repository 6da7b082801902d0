package messenger

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher/messenger/flatjson"
	"usher/messenger/flatjson/flatjsontest"
)

// The stored form is what encoding/json writes of the fields and their tags.
func TestEventMarshal(t *testing.T) {
	t.Parallel()
	flatjsontest.Check(t, Event.Marshal)
}

func FuzzEventMarshal(f *testing.F) { flatjsontest.Fuzz(f, Event.Marshal) }

// What Marshal writes is read in one pass, all of it.
func TestUnmarshalEvent(t *testing.T) {
	t.Parallel()
	events := flatjsontest.Values[Event]()
	rapid.Check(t, func(t *rapid.T) {
		stored, err := events.Draw(t, "event").Marshal()
		if err != nil {
			t.Fatal(err)
		}
		r := flatjson.NewReader(string(stored))
		readEvent(&r)
		if !r.Done() {
			t.Errorf("%s is left to encoding/json", stored)
		}
		checkUnmarshalEvent(t, stored)
	})
}

// What differs from what Marshal writes is read as encoding/json reads it, or is the
// same error.
func TestUnmarshalEventOfOthers(t *testing.T) {
	t.Parallel()
	for _, text := range others {
		checkUnmarshalEvent(t, []byte(text))
	}
	events := flatjsontest.Values[Event]()
	part := rapid.SampledFrom(append([]string{
		"", " ", ",", `"`, `\`, "{", "}", "[", "]", ":", "0", "null", "true", "false", `""`, "{}", "[]", `\u0041`, `\ud83d`, `\ude00`, `\u2028`, `\x`,
		"\n", "\x00", "\xff", "\u2028", `,"text":"again"`, `,"Text":"upper"`, `"kind":"echo",`, `,"more":[{"a":1}]`, `2026-11-21T12:00:00Z`,
	}, others...))
	rapid.Check(t, func(t *rapid.T) {
		stored, err := events.Draw(t, "event").Marshal()
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			from := rapid.IntRange(0, len(stored)).Draw(t, "from")
			to := min(len(stored), from+rapid.IntRange(0, 6).Draw(t, "length"))
			stored = append(append(stored[:from:from], part.Draw(t, "part")...), stored[to:]...)
		}
		checkUnmarshalEvent(t, stored)
	})
}

func FuzzUnmarshalEvent(f *testing.F) {
	for _, text := range others {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { checkUnmarshalEvent(t, text) })
}

// others are texts that Marshal does not write, or hardly.
var others = []string{
	"", "null", "{}", "[]", `{"id"`, `{"id":`, `{"id":}`, `{"id":"`, `{"id":"\`, `{"id":"\"`, `{"id":"\u12"}`, `{"id":"\u+123"}`, `{"id":"a"`, `{"id":"a",}`, `{"id":"a"}}`,
	`{"id":"a"} `, ` {"id":"a"}`, `{"id": "a"}`, `{"id":"a","thread":{"page":"1","psid":"2"},"kind":"message"}`, `{"kind":"message","id":"a"}`,
	`{"id":"a","thread":{},"kind":"echo"}`, `{"id":"a","thread":}}`, `{"id":"a","thread":null,"kind":"echo"}`, `{"id":"a","thread":{"page":"1"`, `{"id":"a","thread":{"psid":"2"}}`,
	`{"thread":{"page":"1"}"kind":"echo"}`, `{"thread":{"page":"1"}}`, `{"thread":{"page":"1",}}`, `{"id":"a","kind":"echo"}`,
	`{"thread":{"page":"1"},"app":"\u00201\n","new_owner":" 2 "}`, `{"thread":{"page":"1"},"app":263902037430900,"new_owner":null}`, `{"thread":{"page":"1"},"app":1.5}`,
	`{"thread":{"page":"1"},"at":"2026-11-21T12:00:00Z"}`, `{"thread":{"page":"1"},"at":"2026-11-21T12:00:00\u005a"}`, `{"thread":{"page":"1"},"at":"2026-02-30T12:00:00Z"}`,
	`{"thread":{"page":"1"},"at":"2026-11-21T12:00:00,5+05:30"}`, `{"thread":{"page":"1"},"at":"2026-11-21T12:00:00.123456789012-00:00"}`, `{"thread":{"page":"1"},"at":null}`,
	`{"thread":{"page":"1"},"at":""}`, `{"thread":{"page":"1"},"at":"}`, `{"thread":{"page":"1"},"at":`, `{"thread":{"page":"1"},"at":12"}`, `{"thread":{"page":"1"},"at":}`, `{"thread":{"page":"1"};"kind":"echo"}`, `{"thread":{"page":"1"},'kind":"echo"}`,
	`{"thread":{"page":"1"},"standby":false}`, `{"thread":{"page":"1"},"standby":true}`, `{"thread":{"page":"1"},"standby":truefalse}`, `{"thread":{"page":"1"},"standby":"true"}`,
	`{"thread":{"page":"1"},"attachments":[]}`, `{"thread":{"page":"1"},"attachments":null}`, `{"thread":{"page":"1"},"attachments":["a",]}`, `{"thread":{"page":"1"},"attachments":["a","b"]}`,
	`{"thread":{"page":"1"},"attachments":["a" ,"b"]}`, `{"thread":{"page":"1"},"attachments":["a"`, `{"thread":{"page":"1"},"attachments":[,,,]}`, `{"thread":{"page":"1"},"attachments":"a"}`, `{"thread":{"page":"1"},"attachments":["a"}`, `{"thread":{"page":"1"},"attachments":}`,
	`{"thread":{"page":"1"},"raw":"\ud83d\ude00"}`, `{"thread":{"page":"1"},"raw":"\ud83d"}`, `{"thread":{"page":"1"},"raw":"\/\b\f\n\r\t\u00Ab\\\""}`, `{"thread":{"page":"1"},"raw":"\v"}`,
	"{\"id\":\"\xff\"}", "{\"thread\":{\"page\":\"\xff\"}}", "{\"thread\":{\"page\":\"\x01\"}}", "{\"thread\":{\"page\":\"\\\x01\"}}", "{\"thread\":{\"page\":\"\x7f\u2028\"}}",
	`{"thread":{"page":"1"},"backfilled":true,"answered":true,"raw":"r","trace":"t"}`, `{"thread":{"page":"1"},"raw":"1","raw":"2"}`, `{"ID":"a","thread":{"Page":"1"}}`,
}

// errorer is a test, of whichever kind.
type errorer interface {
	Helper()
	Errorf(format string, args ...any)
}

func checkUnmarshalEvent(t errorer, text []byte) {
	t.Helper()
	var want Event
	wantErr := json.Unmarshal(text, &want)
	got, err := UnmarshalEvent(string(text))
	if !reflect.DeepEqual(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Errorf("UnmarshalEvent(%q)\n     = %+v, %v,\nwant %+v, %v", text, got, err, want, wantErr)
	}
}

func benchEvent() Event {
	return Event{
		ID: "message:m_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789", MID: "m_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789", Kind: KindMessage,
		Thread: ThreadKey{Page: "1000000000000001", PSID: "7000000000000001"}, At: time.UnixMilli(1_800_000_000_123).UTC(), Text: "What are your hours? I'd like to come on Saturday.",
	}
}

func BenchmarkEventMarshal(b *testing.B) {
	e := benchEvent()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Marshal(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEventUnmarshal(b *testing.B) {
	stored, err := benchEvent().Marshal()
	if err != nil {
		b.Fatal(err)
	}
	text := string(stored)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := UnmarshalEvent(text); err != nil {
			b.Fatal(err)
		}
	}
}
