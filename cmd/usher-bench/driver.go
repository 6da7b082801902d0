package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
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

	urls           []string // each gets its share
	secret, page   string
	threads, batch int
	graphDelay     time.Duration
	client         *http.Client
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
	maxBody    = 1 << 20 // of a Graph call
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
	var body bytes.Buffer
	fmt.Fprintf(&body, `{"object":"page","entry":[{"id":%q,"time":%d,"messaging":[`, d.page, due.UnixMilli())
	customers := make([]string, d.batch)
	for i := range customers {
		n := d.serial.Add(1)
		customers[i] = fmt.Sprintf("6%015d", n%int64(d.threads))
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"sender":{"id":%q},"recipient":{"id":%q},"timestamp":%d,"message":{"mid":"m_%s%020d%020d","text":%q}}`,
			customers[i], d.page, due.UnixMilli(), midFiller, d.began.UnixNano(), n, loadText)
	}
	body.WriteString(`]}]}`)
	d.mu.Lock()
	for _, c := range customers {
		d.asked[c] = append(d.asked[c], due)
	}
	d.waiting += d.batch
	d.mu.Unlock()

	ok := d.deliver(ctx, body.Bytes())
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
	url := d.urls[int(d.posts.Add(1))%len(d.urls)]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hub-Signature-256", webhook.Sign([]byte(d.secret), body))
	res, err := d.client.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, res.Body) // its status says all
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// ServeHTTP is a Graph API that accepts everything at once, or after a delay.
func (d *driver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var send struct {
		Recipient struct {
			ID string `json:"id"`
		} `json:"recipient"`
		Message *struct{} `json:"message"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	if json.Unmarshal(body, &send) == nil && send.Message != nil {
		d.replyTo(send.Recipient.ID)
	}
	if d.graphDelay > 0 {
		pause(r.Context(), d.graphDelay)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"recipient_id":%q,"message_id":"m_reply_%d","success":true,"data":[]}`, send.Recipient.ID, d.serial.Add(1)) // a caller that left needs nothing
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
		if wait := due.Sub(now()); wait > 0 && !pause(ctx, wait) {
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

// listenGraph serves the driver's Graph API.
func (d *driver) listenGraph(ctx context.Context, at string) (address string, server *http.Server, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	if err != nil {
		return "", nil, err
	}
	server = &http.Server{Handler: d, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // ended by its Close
	return l.Addr().String(), server, nil
}
