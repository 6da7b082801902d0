package webhook

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Objects and arrays are taken apart as encoding/json does it, all the way down,
// but with nothing copied.
func FuzzValue(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, ` { "a" : [ 1 , -2.5e+3 , true , false , null , "x" ] , "b" : { } } `,
		`{"a":1,"a":2,"A":3}`, `{"a":null}`, `{"\u0061\n":"\\\"]}","":"\\"}`, "{\"\xff\":\"\xfe\\ud800\"}", `[[],[[]],{"a":[{}]}]`, "\"\\\\\"", `12`, "[1\r,\n2\t]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if json.Valid(text) { // Decode lets no other in
			compare(t, value(strings.TrimSpace(string(text))))
		}
	})
}

func compare(t *testing.T, v value) {
	t.Helper()
	switch {
	case v.isObject():
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(v), &want); err != nil {
			t.Fatal(err)
		}
		got := make(map[string]json.RawMessage)
		for name, member := range v.members() {
			if member == "" {
				got[name] = json.RawMessage("null")
				continue
			}
			got[name] = json.RawMessage(member)
			compare(t, member)
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("members of %q (-got +want):\n%s", v, diff)
		}
	case v.isArray():
		var want, got []json.RawMessage
		if err := json.Unmarshal([]byte(v), &want); err != nil {
			t.Fatal(err)
		}
		for element := range v.elements() {
			got = append(got, json.RawMessage(element))
			compare(t, element)
		}
		if len(want)+len(got) > 0 && !cmp.Equal(got, want) {
			t.Errorf("elements of %q (-got +want):\n%s", v, cmp.Diff(got, want))
		}
	case v[0] == '"':
		var want string
		if err := json.Unmarshal([]byte(v), &want); err != nil {
			t.Fatal(err)
		}
		if got := v.text(); got != want {
			t.Errorf("text of %s = %q, want %q", v, got, want)
		}
	}
}

// Space goes, but not within a text.
func TestAppendCompact(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, " [ 1 ,\r\n\t2 ] ", `{ "a b" : "c \" d" , "\\" : "  " }`} {
		var want bytes.Buffer
		if err := json.Compact(&want, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := string(value(text).appendCompact(nil)); got != want.String() {
			t.Errorf("compact %q = %q, want %q", text, got, &want)
		}
	}
}
