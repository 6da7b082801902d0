package simulator

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"usher/messenger"
)

// How Meta delivers: each app has a queue, whose head is repeated until it is
// answered with 200. An app that fails for an hour is unsubscribed.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
const (
	deliveryTimeout  = 5 * time.Second
	unsubscribeAfter = time.Hour
	maxBatch         = 1000
)

// delivery is an event on its way to one app.
type delivery struct {
	told     Told
	at       time.Time
	item     item
	hop      any // what stands beside it in its entry
	attempts int
	late     bool // it has been late already
}

// queue holds what an app has still to be told, in order. It has a goroutine
// only while it delivers.
type queue struct {
	app     *app
	url     string       // "" with client nil: nobody listens
	client  *http.Client // posts the deliveries
	waiting []delivery
	busy    bool
	pausing bool        // busy, but only with waiting for the clock
	late    int         // deliveries that come later
	retry   func() bool // stops the timer of the next attempt; nil when none runs
	failing time.Time   // when the present row of failures began
}

func (q *queue) listens() bool { return q.client != nil && len(q.app.fields) > 0 }

func (q *queue) settled(held bool) bool {
	return !q.busy && q.late == 0 && (held || len(q.waiting) == 0)
}

// stop ends the wait for the next attempt.
func (q *queue) stop() {
	if q.retry != nil {
		q.retry()
		q.retry = nil
	}
}

// Listen sends App's webhooks to h, in this process, from now on; nil to nobody.
// A delivery that takes longer than 5 s counts as failed.
func (m *Meta) Listen(h http.Handler) { m.listen(m.us, h, "") }

// ListenAt posts App's webhooks to an address from now on.
func (m *Meta) ListenAt(address string) { m.listen(m.us, nil, address) }

func (m *Meta) listen(a *app, h http.Handler, address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case h != nil:
		// The host is for the receiver's eyes only: the handler is called directly.
		a.queue.url, a.queue.client = "http://webhook.invalid/webhook", &http.Client{Transport: &transport{handler: h, wg: &m.wg}}
	case address != "":
		a.queue.url, a.queue.client = address, m.opt.HTTP
	default:
		a.queue.url, a.queue.client, a.queue.waiting = "", nil, nil
	}
	m.kick(&a.queue)
}

// VerifyWebhook shows App's webhook the verify token, as the dashboard does when
// an address is entered, and wants its challenge back.
func (m *Meta) VerifyWebhook(ctx context.Context) error {
	m.mu.Lock()
	q := m.us.queue
	challenge := m.next("")
	m.mu.Unlock()
	if q.client == nil {
		return fmt.Errorf("verify the webhook: %w", errNoWebhook)
	}
	at, err := url.Parse(q.url)
	if err != nil {
		return fmt.Errorf("verify the webhook: %w", err)
	}
	query := at.Query()
	query.Set("hub.mode", "subscribe")
	query.Set("hub.verify_token", m.opt.VerifyToken)
	query.Set("hub.challenge", challenge)
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("verify the webhook: %w", err)
	}
	res, err := q.client.Do(req)
	if err != nil {
		return fmt.Errorf("verify the webhook: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // only read from
	got, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("verify the webhook: %w", err)
	}
	if res.StatusCode != http.StatusOK || string(got) != challenge {
		return fmt.Errorf("verify the webhook: %w: status %d", errChallenge, res.StatusCode)
	}
	return nil
}

// enqueue adds a delivery, and its copies where deliveries are duplicated. The
// lock is held.
func (m *Meta) enqueue(a *app, d delivery) {
	for range 1 + m.faults.copies {
		a.queue.waiting = append(a.queue.waiting, d)
	}
	m.kick(&a.queue)
}

// kick starts to deliver if there is something to deliver. The lock is held.
func (m *Meta) kick(q *queue) {
	if m.closed || m.faults.held || q.busy || q.retry != nil || len(q.waiting) == 0 || !q.listens() {
		return
	}
	q.busy = true
	m.wg.Go(func() { m.drain(q) })
}

// drain delivers until the queue is empty or a pause is due.
func (m *Meta) drain(q *queue) {
	for {
		m.mu.Lock()
		if m.closed || m.faults.held || len(q.waiting) == 0 || !q.listens() {
			q.busy = false
			m.happened()
			m.mu.Unlock()
			return
		}
		batch, latency := m.pick(q), m.faults.latencyOf(EdgeWebhook)
		f, failing := m.failureOf(q.app, batch)
		if failing && m.astray(q, batch, f) {
			m.mu.Unlock()
			continue
		}
		client, address := q.client, q.url
		req := m.post(q.app, batch)
		m.mu.Unlock()

		status, err := m.deliver(q, latency, f, func() (int, error) { return m.attempt(client, address, req) })

		m.mu.Lock()
		again := m.answered(q, batch, req.body, status, err)
		m.mu.Unlock()
		if !again {
			return
		}
	}
}

// deliver makes an attempt, as slowly as latency and as badly as f has it.
func (m *Meta) deliver(q *queue, latency time.Duration, f Failure, attempt func() (int, error)) (status int, err error) {
	if err := m.linger(q, latency); err != nil {
		return 0, err
	}
	if f.After || !f.Hang && !f.Cut {
		if status, err = attempt(); err != nil {
			return status, err
		}
	}
	if f.Hang {
		if err := m.linger(q, deliveryTimeout); err != nil {
			return status, err
		}
	}
	if f.Cut || f.Hang || f.After {
		return status, errCut
	}
	return status, nil
}

// failureOf returns what goes wrong with a delivery, if anything does. One that
// was late is not hit again on the way. The lock is held.
func (m *Meta) failureOf(a *app, batch []delivery) (Failure, bool) {
	if batch[0].late {
		return Failure{}, false
	}
	t := target{edge: EdgeWebhook, app: a.id}
	for _, d := range batch {
		t.events = append(t.events, d.told)
	}
	return m.failure(t)
}

// astray tells whether f keeps a delivery from being made now: it is lost, or
// comes later. The lock is held.
func (m *Meta) astray(q *queue, batch []delivery, f Failure) bool {
	switch {
	case f.Lost:
		m.recordDelivery(q.app, batch, Delivery{Error: "lost on the way"}, nil)
	case f.Delay > 0:
		q.late++
		m.opt.After(f.Delay, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			q.late--
			if q.listens() {
				for i := range batch {
					batch[i].late = true
				}
				q.waiting = append(batch, q.waiting...)
			}
			m.kick(q)
			m.happened()
		})
	}
	return f.Lost || f.Delay > 0
}

// linger is a delivery's slowness; only the clock is waited for meanwhile.
func (m *Meta) linger(q *queue, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	over := make(chan struct{})
	stop := m.opt.After(d, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		q.pausing = false
		close(over)
	})
	defer stop()
	m.mu.Lock()
	select {
	case <-over:
	default:
		q.pausing = true
		m.happened()
	}
	m.mu.Unlock()
	select {
	case <-over:
		return nil
	case <-m.ctx.Done():
		return m.ctx.Err()
	}
}

// pick takes the next batch from the queue.
func (m *Meta) pick(q *queue) []delivery {
	if m.faults.reorder {
		m.rng.Shuffle(len(q.waiting), func(i, j int) { q.waiting[i], q.waiting[j] = q.waiting[j], q.waiting[i] })
	}
	n := min(len(q.waiting), m.faults.batch)
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return batch
}

// signed is a body with its signature.
type signed struct {
	body      []byte
	signature string
}

// post writes a batch as one body: events that follow each other on one channel
// share an entry; one with a hop_context stands alone beside it.
func (m *Meta) post(a *app, batch []delivery) signed {
	body := envelope{Object: "page"}
	for i, d := range batch {
		shares := i > 0 && d.hop == nil && batch[i-1].hop == nil && d.told.Channel == batch[i-1].told.Channel
		if !shares {
			body.Entry = append(body.Entry, entry{ID: m.opt.Page, Time: d.at.UnixMilli(), Hop: d.hop})
		}
		last := &body.Entry[len(body.Entry)-1]
		if d.told.Channel == Standby {
			last.Standby = append(last.Standby, d.item)
		} else {
			last.Messaging = append(last.Messaging, d.item)
		}
	}
	raw := wire(body)
	return signed{body: raw, signature: "sha256=" + hex.EncodeToString(sign(a.secret, raw))}
}

// attempt posts once.
func (m *Meta) attempt(client *http.Client, address string, s signed) (int, error) {
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	stop := m.opt.After(deliveryTimeout, func() { cancel(context.DeadlineExceeded) })
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(s.body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "facebookexternalua")
	req.Header.Set("X-Hub-Signature-256", s.signature)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }() // the answer's text has no meaning
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	return res.StatusCode, nil
}

// answered notes the outcome of an attempt and tells whether to go on at once.
// The lock is held.
func (m *Meta) answered(q *queue, batch []delivery, body []byte, status int, err error) (again bool) {
	defer m.happened()
	if m.ctx.Err() != nil { // closing
		q.busy = false
		return false
	}
	m.recordDelivery(q.app, batch, Delivery{Status: status, AnswerLost: status != 0 && err != nil, Body: m.kept(body)}, err)
	if status == http.StatusOK && err == nil {
		q.failing = time.Time{}
		return true
	}

	now := m.now()
	if q.failing.IsZero() {
		q.failing = now
	}
	if now.Sub(q.failing) >= unsubscribeAfter {
		q.app.fields, q.app.lapsed = nil, true
		q.waiting, q.failing, q.busy = nil, time.Time{}, false
		m.record(Entry{Act: &Act{Who: "meta", What: "unsubscribes " + string(q.app.id)}})
		return false
	}
	pause := m.opt.Retries[min(batch[0].attempts, len(m.opt.Retries)-1)]
	for i := range batch {
		batch[i].attempts++
	}
	q.waiting = append(batch, q.waiting...)
	if pause <= 0 {
		return true
	}
	q.busy = false
	q.retry = m.opt.After(pause, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		q.retry = nil
		m.kick(q)
		m.happened()
	})
	return false
}

// recordDelivery writes d, of batch to a, into the ledger.
func (m *Meta) recordDelivery(a *app, batch []delivery, d Delivery, err error) {
	d.App, d.Attempt = a.id, batch[0].attempts+1
	if err != nil {
		d.Error = err.Error()
	}
	for _, one := range batch {
		d.Events = append(d.Events, one.told)
	}
	m.record(Entry{Delivery: &d})
}

// Subscribed returns the webhook fields to which an app is subscribed; none
// when it unsubscribed or when Meta did so after an hour of failed deliveries,
// which lapsed tells.
func (m *Meta) Subscribed(id messenger.AppID) (fields []string, lapsed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a := m.find(id); a != nil {
		return append(fields, a.fields...), a.lapsed
	}
	return nil, false
}
