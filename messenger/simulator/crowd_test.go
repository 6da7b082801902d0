package simulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher/messenger"
	"usher/messenger/simulator"
)

// echoBot says what it is told.
type echoBot struct {
	graph *http.Client
	fault func(error)
}

func (b *echoBot) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var d heardBody
	if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
		b.fault(err)
		return
	}
	for _, e := range d.Entry {
		for _, i := range e.Messaging {
			if i.Message != nil && !i.Message.IsEcho {
				b.say(r, i.Sender.ID, i.Message.Text)
			}
		}
	}
}

func (b *echoBot) say(r *http.Request, to, text string) {
	body := fmt.Sprintf(`{"recipient":{"id":%q},"message":{"text":%q}}`, to, text)
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "https://graph.example/v26.0/me/messages", bytes.NewBufferString(body))
	if err != nil {
		b.fault(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := b.graph.Do(req)
	if err != nil {
		b.fault(err)
		return
	}
	if res.StatusCode != http.StatusOK {
		b.fault(fmt.Errorf("answer to %s: %s", to, res.Status))
	}
	if err := res.Body.Close(); err != nil {
		b.fault(err)
	}
}

// A thousand customers write for a minute, and the second half of it leaves no
// more behind than the first. (It runs alone: it measures the heap.)
func TestCrowd(t *testing.T) { //nolint:paralleltest // see above
	const (
		customers = 1000
		half      = 30 * time.Second
		each      = 10 * time.Second // between what a customer writes
		slack     = 1 << 20          // bytes
	)
	synctest.Test(t, func(t *testing.T) {
		meta, err := simulator.New(simulator.Options{
			App: bot, AppSecret: "app-secret", Page: page, PageToken: token, Seed: 1,
			Fields:     append(simulator.DefaultFields(), "message_deliveries"),
			LedgerSize: 500, ThreadLines: 4, KeepBodies: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer meta.Close()
		meta.Listen(&echoBot{graph: meta.Client(), fault: func(err error) { t.Error(err) }})
		var wg sync.WaitGroup
		for n := range customers {
			c := meta.Customer(messenger.PSID(fmt.Sprintf("7%015d", n)))
			wg.Go(func() {
				time.Sleep(each * time.Duration(n) / customers)
				for i := range 2 * half / each {
					if _, err := c.Says(fmt.Sprintf("customer %d, message %d", n, i)); err != nil {
						t.Error(err)
					}
					time.Sleep(each)
				}
			})
		}
		var heap [3]uint64
		for i := range heap {
			synctest.Wait()
			if err := meta.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			heap[i] = live()
			time.Sleep(half)
		}
		wg.Wait()
		t.Logf("live heap in bytes at the start %d, after half a minute %d, after a minute %d", heap[0], heap[1], heap[2])
		if heap[2] > heap[1]+slack {
			t.Errorf("the second half minute left %d bytes more, want at most %d", heap[2]-heap[1], slack)
		}
		for _, psid := range meta.Customers() {
			lines := meta.Transcript(psid)
			last := lines[len(lines)-1]
			if last.From != simulator.FromPage || last.Text != lines[len(lines)-2].Text {
				t.Fatalf("the last line of %s is %q, want an echo of %q", psid, last.Text, lines[len(lines)-2].Text)
			}
		}
	})
}

// live returns how many bytes of the heap are in use.
func live() uint64 {
	runtime.GC()
	runtime.GC() // what the first one finalised
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
