package graph_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/graph"
	"usher/messenger/simulator"
)

// meta is a simulated Page that enforces Meta's limits, and a client of it.
func meta(t *testing.T) (*simulator.Meta, *graph.Client) {
	t.Helper()
	m, err := simulator.New(simulator.Options{
		App: "1517776481860111", AppSecret: appSecret, Page: page, PageToken: token, Seed: 1, Fields: []string{}, EnforceRate: true, CheckProof: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m, clientOf(t, graph.Options{Transport: m.Client().Transport})
}

func says(t *testing.T, m *simulator.Meta, psid messenger.PSID, text string) messenger.MessageID {
	t.Helper()
	mid, err := m.Customer(psid).Says(text)
	if err != nil {
		t.Fatal(err)
	}
	return mid
}

// customers are who wrote in the conversations that are gone through.
func customers(t *testing.T, c *graph.Client, since time.Time, limit int) (all []string) {
	t.Helper()
	time.Sleep(time.Second) // Meta takes two calls in one
	for one, err := range c.Conversations(t.Context(), since, limit) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(one.Customer))
	}
	return all
}

func TestConversations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, c := meta(t)
		began := time.Now().UTC()
		first := says(t, m, ada, "hello")
		time.Sleep(90 * time.Second)
		if _, err := m.Agent().Replies(ada, "good day"); err != nil {
			t.Fatal(err)
		}
		lines := m.Transcript(ada)
		time.Sleep(time.Minute)
		says(t, m, "2000000000000003", "and me")

		var got []graph.Conversation
		for one, err := range c.Conversations(t.Context(), began, 100) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, one)
		}
		want := graph.Conversation{
			Customer: ada, Updated: began.Add(90 * time.Second),
			Messages: []graph.Said{
				{MID: lines[1].MID, At: began.Add(90 * time.Second), Page: true, Text: "good day"},
				{MID: first, At: began, Text: "hello"},
			},
		}
		if len(got) != 2 || got[0].Customer != "2000000000000003" {
			t.Fatalf("conversations = %+v, want two, the newest first", got)
		}
		if diff := cmp.Diff(want, got[1]); diff != "" {
			t.Errorf("conversation (-want +got):\n%s", diff)
		}
		if got := customers(t, c, began.Add(150*time.Second+900*time.Millisecond), 100); len(got) != 1 {
			t.Errorf("since the last second there are %v, want the one that was updated in it", got)
		}
		if got := customers(t, c, began.Add(151*time.Second), 100); len(got) != 0 {
			t.Errorf("since after the last word there are %v, want none", got)
		}
	})
}

// Parts are read one after the other, no faster than Meta takes it, and no more
// than are asked for.
func TestConversationsInParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, c := meta(t)
		began := time.Now()
		for i := range 31 {
			says(t, m, messenger.PSID(fmt.Sprintf("20000000000001%02d", i)), "hello")
			time.Sleep(time.Second)
		}
		m.Heal()
		for limit, want := range map[int]struct{ found, calls int }{100: {31, 4}, 31: {31, 4}, 20: {20, 2}, 15: {15, 2}, 1: {1, 1}, 0: {0, 0}} {
			time.Sleep(time.Hour)
			before := len(m.Calls(simulator.EdgeConversations))
			got := customers(t, c, began, limit)
			calls := len(m.Calls(simulator.EdgeConversations)) - before
			if len(got) != want.found || calls != want.calls {
				t.Errorf("limit %d: %d conversations by %d calls, want %d by %d", limit, len(got), calls, want.found, want.calls)
			}
		}
		time.Sleep(time.Hour)
		for _, err := range c.Conversations(t.Context(), began, 100) { // by who has seen enough
			if err != nil {
				t.Error(err)
			}
			break
		}
	})
}

// Of what is beyond the newest 20 Meta tells no more than id and time.
func TestConversationsWithoutDetails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, c := meta(t)
		began := time.Now()
		for i := range 25 {
			says(t, m, ada, fmt.Sprint("message ", i))
		}
		for one, err := range c.Conversations(t.Context(), began, 1) {
			if err != nil {
				t.Fatal(err)
			}
			if n := len(one.Messages); n != graph.Detailed || one.Messages[0].Text != "message 24" || one.Messages[19].Text != "message 5" {
				t.Errorf("%d messages, from %q to %q; want the newest 20", n, one.Messages[0].Text, one.Messages[n-1].Text)
			}
		}
	})
}

func TestConversationsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, c := meta(t)
		for i := range 12 {
			says(t, m, messenger.PSID(fmt.Sprintf("20000000000001%02d", i)), "hello")
		}
		read := func(ctx context.Context) (found int, last error) {
			for _, err := range c.Conversations(ctx, time.Time{}, 100) {
				if last = err; err == nil {
					found++
				}
			}
			return found, last
		}
		time.Sleep(time.Second)
		m.FailNext(simulator.EdgeConversations, simulator.Failure{Code: 10, Status: http.StatusForbidden})
		if n, err := read(t.Context()); n != 0 || !errors.Is(err, graph.ErrPermission) {
			t.Errorf("without permission: %d conversations, %v", n, err)
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // ends in the pause before the second part
		defer cancel()
		if n, err := read(ctx); n != 10 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that ends: %d conversations, %v", n, err)
		}
	})
}

// What Meta leaves out, or writes otherwise than it says, makes nothing up.
func TestConversationsAsTheyCome(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	const created = `"created_time":"2026-11-21T13:00:00+0100"`
	tests := map[string]struct {
		one  string
		want graph.Conversation
	}{
		"nothing":  {one: `{}`},
		"no_names": {one: `{"participants":{"data":[{"id":1000000000000001},{"id":2000000000000002,"email":"x"}]}}`, want: graph.Conversation{Customer: ada}},
		"no_participants": {
			one: `{"updated_time":"2026-11-21T12:00:00+0000","messages":{"data":[
				{"id":"m_2",` + created + `,"from":{"id":"1000000000000001"},"to":{"data":[{"id":"2000000000000002"}]}},
				{"id":"m_1",` + created + `,"from":{"id":"2000000000000002"},"message":"hi"}]}}`,
			want: graph.Conversation{Customer: ada, Updated: at, Messages: []graph.Said{{MID: "m_2", At: at, Page: true}, {MID: "m_1", At: at, Text: "hi"}}},
		},
		"no_details": {
			one: `{"participants":{"data":[{"id":"2000000000000002"}]},"messages":{"data":[
				{"id":"m_1",` + created + `},{"id":"m_2","from":{"id":"2000000000000002"}},{` + created + `,"from":{"id":"2000000000000002"}},{"id":"m_3",` + created + `,"from":{}}]}}`,
			want: graph.Conversation{Customer: ada},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var query string
			c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				query = r.URL.Query().Get("fields")
				// A cursor without a link is the end.
				answer(http.StatusOK, `{"data":[`+tt.one+`],"paging":{"cursors":{"after":"x"}}}`)(w, r)
			})
			n := 0
			for got, err := range c.Conversations(t.Context(), time.Time{}, 100) {
				n++
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("conversation (-want +got):\n%s", diff)
				}
			}
			if n != 1 || !strings.Contains(query, "messages.limit(20){id,created_time,from,to,message}") {
				t.Errorf("%d conversations by the fields %q", n, query)
			}
		})
	}
}
