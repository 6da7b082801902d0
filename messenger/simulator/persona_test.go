package simulator_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPersonas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	add := func(name string) string {
		t.Helper()
		a := w.call("POST", "me/personas", fmt.Sprintf(`{"name":%q,"profile_picture_url":"https://a.b/c.png"}`, name))
		a.wantOK(t)
		id, _ := a.body["id"].(string)
		return id
	}
	mia, tom := add("Mia"), add(strings.Repeat("ü", 50))
	persona := map[string]any{"id": mia, "name": "Mia", "profile_picture_url": "https://a.b/c.png"}
	if diff := cmp.Diff(persona, w.call("GET", mia, "").body); diff != "" {
		t.Error(diff)
	}
	list := w.call("GET", "me/personas?limit=1", "")
	if got := dig(t, list.body, "data", 0, "id"); got != tom {
		t.Errorf("the newest persona is %v, want %v", got, tom)
	}
	if diff := cmp.Diff([]any{persona}, dig(t, w.call("GET", fmt.Sprintf("me/personas?after=%s", dig(t, list.body, "paging", "cursors", "after")), "").body, "data")); diff != "" {
		t.Error(diff)
	}

	w.send("signed", `"persona_id":"`+mia+`"`).wantOK(t)
	w.send("signed", `"persona_id":`+mia).wantOK(t) // as a number
	w.send("by nobody", `"persona_id":"404"`).want(t, 400, 100, 0)
	w.call("DELETE", mia, "").wantOK(t)
	w.send("too late", `"persona_id":"`+mia+`"`).want(t, 400, 100, 0)
	w.call("GET", mia, "").want(t, 400, 100, 33)
	w.call("DELETE", mia, "").want(t, 400, 100, 33)
	if lines := w.Transcript(ann); len(lines) != 3 || lines[1].Persona != "Mia" || lines[2].Persona != "Mia" {
		t.Errorf("transcript = %+v, want two lines signed Mia", lines)
	}
}

func TestPersonaLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for body, sub := range map[string]int{
		`{"profile_picture_url":"https://a.b/c.png"}`: 0,
		`{"name":"Mia"}`: 0,
		`{"name":"Mia","profile_picture_url":"c.png"}`:                                         2018008,
		`{"name":"` + strings.Repeat("ü", 51) + `","profile_picture_url":"https://a.b/c.png"}`: 0,
	} {
		w.call("POST", "me/personas", body).want(t, 400, 100, sub)
	}
	good := `{"name":"Mia","profile_picture_url":"https://a.b/c.png"}`
	for range 1000 {
		w.call("POST", "me/personas", good).wantOK(t)
	}
	w.call("POST", "me/personas", good).want(t, 400, 100, 0)
}
