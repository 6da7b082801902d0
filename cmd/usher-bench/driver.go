package main

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"usher/messenger/webhook"
)

// driver sends signed webhooks, and is the Graph API to which the
// replies go.
type driver struct {
	tally

	hooks          []*hook // each gets its share
	secret, page   string
	threads, batch int
	graphDelay     time.Duration
	instead        func(ctx context.Context, body []byte) bool // of a POST; nil for one

	serial atomic.Int64 // of messages
	posts  atomic.Int64

	mu      sync.Mutex
	asked   map[string][]time.Time // when what waits for a reply was sent, by customer
	waiting int
}

// tally is what one measurement counts.
type tally struct {
	ack, reply                     *hdr.Histogram // µs
	acked, failed, replied, strays int
	began, lastReply               time.Time
}

// Bounds of the histograms.
const (
	leastLatency = 1                         // µs
	mostLatency  = int64(time.Minute / 1000) // µs
	digits       = 3                         // significant ones
	loadTimeout  = 10 * time.Second          // of a POST
	replyWithin  = 30 * time.Second          // after the last event
	baseVersion  = "v26.0"                   // any is answered
	loadText     = "ping"                    // what customers say
	// midFiller makes a message's id as long as Meta's are.
	midFiller  = "AG5Hz2Uq7tuwNEhXfYYKj8mJEM_QPpz5jdCK48PnKAjSdjfipqxqMvK8ma6"
	loadReply  = "pong"  // and are told
	maxBody    = 1 << 20 // of a Graph call, or an answer
	loadScript = "version: 1\ngreeting: {keywords: [hello], say: Hello.}\nfallback: [{say: 'What?'}]\nrules:\n  - {id: ping, match: {exact: [" + loadText + "]}, say: [" + loadReply + "]}\n"
)

func newTally() tally {
	return tally{ack: hdr.New(leastLatency, mostLatency, digits), reply: hdr.New(leastLatency, mostLatency, digits), began: now()}
}

// reset begins a measurement.
func (d *driver) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked, d.waiting, d.tally = map[string][]time.Time{}, 0, newTally()
}

// post sends one body of d.batch events. They count from due, which is earlier
// than now where the generator lags: a slow answer must not hide the next one.
func (d *driver) post(ctx context.Context, due time.Time) {
	at := strconv.FormatInt(due.UnixMilli(), 10)
	body := make([]byte, 0, 128+384*d.batch)
	body = append(body, `{"object":"page","entry":[{"id":"`+d.page+`","time":`+at+`,"messaging":[`...)
	customers := make([]string, d.batch)
	for i := range customers {
		n := d.serial.Add(1)
		customers[i] = "6" + padded(n%int64(d.threads), 15)
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"sender":{"id":"`+customers[i]+`"},"recipient":{"id":"`+d.page+`"},"timestamp":`+at+
			`,"message":{"mid":"m_`+midFiller+padded(d.began.UnixNano(), 20)+padded(n, 20)+`","text":"`+loadText+`"}}`...)
	}
	body = append(body, `]}]}`...)
	d.mu.Lock()
	for _, c := range customers {
		d.asked[c] = append(d.asked[c], due)
	}
	d.waiting += d.batch
	d.mu.Unlock()

	ok := d.deliver(ctx, body)
	took := now().Sub(due).Microseconds()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !ok {
		d.failed += d.batch
		return
	}
	d.acked += d.batch
	_ = d.ack.RecordValue(min(took, mostLatency)) // within its bounds
}

func (d *driver) deliver(ctx context.Context, body []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	if d.instead != nil {
		return d.instead(ctx, body)
	}
	to := d.hooks[int(d.posts.Add(1))%len(d.hooks)]
	status, err := to.post(ctx, webhook.Sign([]byte(d.secret), body), body)
	return err == nil && status == http.StatusOK
}

// padded returns n in so many digits.
func padded(n int64, digits int) string {
	s := strconv.FormatInt(n, 10)
	return strings.Repeat("0", max(digits-len(s), 0)) + s
}

// to says where webhooks go.
func (d *driver) to(urls ...string) error {
	for _, h := range d.hooks {
		h.close()
	}
	d.hooks = nil
	for _, u := range urls {
		h, err := newHook(u)
		if err != nil {
			return err
		}
		d.hooks = append(d.hooks, h)
	}
	return nil
}

// answer is a Graph API that accepts everything. It reads what Usher and the sketch
// write, as they write it.
func (d *driver) answer(body []byte) []byte {
	var customer string
	if _, rest, ok := bytes.Cut(body, []byte(`"recipient":{"id":"`)); ok {
		id, _, _ := bytes.Cut(rest, []byte(`"`))
		customer = string(id)
	}
	if !bytes.Contains(body, []byte(`"message":{`)) {
		return []byte(`{"success":true,"data":[]}`)
	}
	d.replyTo(customer)
	return []byte(`{"recipient_id":"` + customer + `","message_id":"m_` + midFiller + strconv.FormatInt(d.serial.Add(1), 10) + `"}`)
}

// replyTo notes a reply: the oldest that waits, since a thread's replies come in
// order.
func (d *driver) replyTo(customer string) {
	at := now()
	d.mu.Lock()
	defer d.mu.Unlock()
	waits := d.asked[customer]
	if len(waits) == 0 {
		d.strays++
		return
	}
	d.asked[customer] = waits[1:]
	d.waiting--
	d.replied++
	d.lastReply = at
	_ = d.reply.RecordValue(min(at.Sub(waits[0]).Microseconds(), mostLatency)) // within its bounds
}

// closed sends as fast as so many connections can, each waiting for its answer.
func (d *driver) closed(ctx context.Context, connections int, length time.Duration) {
	over := now().Add(length)
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for ctx.Err() == nil && now().Before(over) {
				d.post(ctx, now())
			}
		})
	}
	all.Wait()
}

// open sends rate events per second, however long answers take. It gives up
// where more than most bodies are under way at a time.
func (d *driver) open(ctx context.Context, rate float64, length time.Duration) {
	const most = 4096
	slots := make(chan struct{}, most)
	var all sync.WaitGroup
	began := now()
	every := time.Duration(float64(d.batch) / rate * float64(time.Second))
	for n := 0; ; n++ {
		due := began.Add(time.Duration(n) * every)
		if due.Sub(began) >= length || ctx.Err() != nil {
			break
		}
		if wait := due.Sub(now()); wait > 0 && !pauseExactly(ctx, wait) {
			break
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			d.post(ctx, due)
		})
	}
	all.Wait()
}

// unanswered counts the events that wait for their reply.
func (d *driver) unanswered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting - d.failed
}

// answered waits until every event that was acknowledged has its reply, and returns
// how many have not.
func (d *driver) answered(ctx context.Context) (missing int, err error) {
	within, cancel := context.WithTimeoutCause(ctx, replyWithin, errTimeout)
	defer cancel()
	_ = poll(within, func() bool { // what is missing is the answer
		missing = d.unanswered()
		return missing <= 0
	})
	return max(missing, 0), context.Cause(ctx)
}
