package simulator_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

func TestConversation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.PageName = "Tea House" })
	hers := w.says("hello")
	w.pass(90 * time.Second)
	ours := w.send("hi", "").body["message_id"]
	a := w.call("GET", "me/conversations?platform=messenger&user_id="+string(ann)+
		"&fields=id,is_owner,updated_time,message_count,participants,messages{id,created_time,from,to,message}", "")
	a.wantOK(t)
	her, us := map[string]any{"id": string(ann), "name": "Ann Lee"}, map[string]any{"id": string(page), "name": "Tea House"}
	cursor := func(at ...any) any {
		return dig(t, a.body, append([]any{"data", 0, "messages", "paging", "cursors"}, at...)...)
	}
	want := map[string]any{
		"id": "t_" + string(ann), "is_owner": false, "updated_time": "2026-11-21T10:01:30+0000", "message_count": 2.0,
		"participants": map[string]any{"data": []any{her, us}},
		"messages": map[string]any{
			"data": []any{
				map[string]any{"id": ours, "created_time": "2026-11-21T10:01:30+0000", "from": us, "to": map[string]any{"data": []any{her}}, "message": "hi"},
				map[string]any{"id": string(hers), "created_time": "2026-11-21T10:00:00+0000", "from": her, "to": map[string]any{"data": []any{us}}, "message": "hello"},
			},
			"paging": map[string]any{"cursors": map[string]any{"before": cursor("before"), "after": cursor("after")}},
		},
	}
	if diff := cmp.Diff(want, dig(t, a.body, "data", 0)); diff != "" {
		t.Errorf("conversation (-want +got):\n%s", diff)
	}
	owner := func() any {
		return dig(t, w.call("GET", "me/conversations?user_id="+string(ann)+"&fields=is_owner", "").body, "data", 0, "is_owner")
	}
	w.post("take_thread_control", "").wantOK(t)
	if owner() != true {
		t.Error("is_owner is false with control")
	}
	toInbox(w)
	if owner() != false {
		t.Error("is_owner is true without control")
	}
	if _, err := w.Customer("2").Says("and I"); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, w.call("GET", "me/conversations?user_id="+string(ann), "").body); len(got) != 1 {
		t.Errorf("conversations of one user = %v", got)
	}
	for _, nobody := range []string{"user_id=404", "platform=instagram", "user_id=3"} {
		w.Customer("3") // has not written
		if diff := cmp.Diff(map[string]any{"data": []any{}}, w.call("GET", "me/conversations?"+nobody, "").body); diff != "" {
			t.Errorf("%s: %s", nobody, diff)
		}
	}
}

// rows returns the data of a list.
func rows(t *testing.T, list any) []any {
	t.Helper()
	data, _ := dig(t, list, "data").([]any)
	return data
}

func TestConversationRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	for path, want := range map[string]int{
		"me/conversations?platform=telegram":                  100,
		"me/conversations?fields=shoe_size":                   100,
		"me/conversations?fields=messages{shoe_size}":         100,
		"me/conversations?limit=0":                            100,
		"me/conversations?limit=x":                            100,
		"me/conversations?after=nothing":                      100,
		"me/conversations?fields=messages.after(x){id}":       100,
		"me/conversations?fields=id,messages{id":              2500,
		"me/conversations?fields=id}":                         2500,
		"me/conversations?fields=a-b":                         2500,
		"me/conversations?fields=id,,messages":                2500,
		"t_404":                                               100,
		"t_404/messages":                                      100,
		"t_" + string(ann) + "?fields=shoe_size":              100,
		"t_" + string(ann) + "/messages?fields=shoe_size":     100,
		"t_" + string(ann) + "/messages?fields=id&limit=-1":   100,
		"t_" + string(ann) + "/thread_owner?recipient=1":      100,
		"t_" + string(ann) + "/conversations?platform=m":      100,
		"t_" + string(ann) + "?fields=messages.limit(0){id}":  100,
		"t_" + string(ann) + "?fields=messages.limit(2{id,id": 2500,
	} {
		a := w.call("GET", strings.ReplaceAll(path, "{", "%7B"), "")
		if code, _, text := a.refused(); code != want || a.status != http.StatusBadRequest {
			t.Errorf("%s: status %d, code %d (%s), want %d", path, a.status, code, text, want)
		}
	}
	w.call("POST", "t_"+string(ann)+"/messages", `{"message":{"text":"x"}}`).want(t, 400, 100, 33)
}

// Of the newest 20 messages there are details, of the others id and time.
func TestDetailsOfTheNewestTwenty(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 23 {
		w.says(strconv.Itoa(i))
	}
	a := w.call("GET", "t_"+string(ann)+"?fields=messages.limit(30)%7Bid,created_time,message,from,to%7D", "")
	a.wantOK(t)
	messages := rows(t, dig(t, a.body, "messages"))
	if len(messages) != 23 {
		t.Fatalf("%d messages, want 23", len(messages))
	}
	for i, m := range messages {
		details, _ := m.(map[string]any)
		text, told := details["message"]
		if want := i < 20; told != want || want && text != strconv.Itoa(22-i) || (details["from"] != nil) != want || (details["to"] != nil) != want {
			t.Errorf("message %d = %v, want details: %v", i, details, want)
		}
		if details["id"] == nil || details["created_time"] == nil {
			t.Errorf("message %d = %v, want id and time", i, details)
		}
	}
}

// Lists come in parts; next leads from one to the other.
func TestParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 130 {
		if _, err := w.Customer(messenger.PSID(fmt.Sprintf("%03d", i))).Says("hello"); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
	}
	for range 60 {
		w.says("x")
	}
	follow := func(path, key string) (parts []int, first []any) {
		t.Helper()
		seen := map[any]bool{}
		for range 10 {
			a := w.call("GET", path, "")
			a.wantOK(t)
			list := a.body
			if nested, ok := a.body["messages"].(map[string]any); ok {
				list = nested
			}
			data := rows(t, list)
			parts = append(parts, len(data))
			for _, row := range data {
				id := dig(t, row, key)
				if seen[id] {
					t.Errorf("%v came twice", id)
				}
				seen[id] = true
				first = append(first, id)
			}
			next, _ := dig(t, list, "paging").(map[string]any)["next"].(string)
			if next == "" {
				return parts, first
			}
			if strings.Contains(next, token) {
				t.Errorf("next = %s has the token in it", next)
			}
			rest, ok := strings.CutPrefix(next, "https://graph.example/v26.0/")
			if !ok {
				t.Fatalf("next = %s, want it where the call went", next)
			}
			path = rest
		}
		t.Fatal("the list does not end")
		return nil, nil
	}
	for path, want := range map[string][]int{
		"me/conversations":                                                          {25, 25, 25, 25, 25, 6},
		"me/conversations?limit=50&fields=id":                                       {50, 50, 31},
		"me/conversations?limit=1000":                                               {100, 31},
		"t_" + string(ann) + "/messages?limit=25":                                   {25, 25, 10},
		"t_" + string(ann) + "?fields=messages":                                     {25, 25, 10},
		string(page) + "/conversations?limit=131":                                   {100, 31},
		"t_" + string(ann) + "/messages?fields=id":                                  {25, 25, 10},
		"t_" + string(ann) + "?fields=" + url.QueryEscape("messages.limit(40){id}"): {40, 20},
	} {
		parts, ids := follow(path, "id")
		if diff := cmp.Diff(want, parts); diff != "" {
			t.Errorf("%s: parts (-want +got):\n%s", path, diff)
		}
		if strings.Contains(path, "conversations") && (ids[0] != "t_"+string(ann) || ids[1] != "t_129" || ids[130] != "t_000") {
			t.Errorf("%s: order %v, %v … %v, want the newest first", path, ids[0], ids[1], ids[130])
		}
	}
}
