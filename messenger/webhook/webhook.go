// Package webhook turns Meta's deliveries into durable events.
//
//	POST ─▶ read ≤ 8 MiB ─▶ verify the raw bytes ─▶ Decode ─▶ Inbox.Append ─▶ 200
//	          413, 415            401                             503
//
// A delivery is answered with 200 only once all of its events would survive a
// crash. Whatever else it holds, a delivery that Meta signed is never refused:
// Meta would repeat it, and unsubscribe the app from the Page after an hour. What
// is not understood is stored as such.
//
// json.go reads JSON, wire.go has Meta's names, decode.go their meaning.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"usher/messenger"
)

// Inbox keeps events.
type Inbox interface {
	// Append returns nil once every event would survive a crash. After an error
	// some may be kept; the same events will be offered again, with the same ids.
	// It must return when ctx ends.
	Append(ctx context.Context, events []messenger.Event) error
}

// Options are the parts and settings of a [Handler]. Secrets, VerifyToken and
// Inbox are required.
type Options struct {
	// Secrets are the app secrets that may have signed a delivery: one, or several
	// while one is replaced or when two Meta apps share the URL.
	Secrets []string
	// VerifyToken is what Meta must name when the URL is entered in the dashboard.
	VerifyToken string
	Inbox       Inbox
	// Log says what was refused and what could not be stored, never a body or a
	// signature. Defaults to silence.
	Log zerolog.Logger
	// Timeout bounds Inbox.Append, and the wait of a large delivery for its turn.
	// Less than the 5 s after which Meta gives up. Defaults to 4 s.
	//
	// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
	Timeout time.Duration
	// Ease, where given, is backpressure: it is called with what was stored before it is
	// acknowledged, and may take its time while more comes than can be dealt with. It
	// must return when ctx ends, which is when Timeout is over.
	Ease func(ctx context.Context, events []messenger.Event)
	// Observe, where given, is told of each POST. It must be quick, safe for
	// concurrent use, and not keep the events.
	Observe func(Delivery)
	// Now returns the current time, of which only the monotonic part is used.
	// Defaults to [time.Now].
	Now func() time.Time
}

// Delivery is a POST that was answered.
type Delivery struct {
	Status int               // of the answer
	Events []messenger.Event // none if it was refused
	Took   time.Duration     // from its headers to the answer
}

const (
	path           = "/webhook"
	defaultTimeout = 4 * time.Second
	maxTimeout     = 5 * time.Second
	// maxBody holds the 1000 updates that Meta may put into one delivery.
	maxBody = 8 << 20
	// Bodies above largeBody are read maxLarge at a time, so that nobody can fill
	// the memory with them.
	largeBody = 256 << 10
	maxLarge  = 8
	// maxChallenge is far above what Meta sends, a number.
	maxChallenge = 1 << 10
	// retryAfter is for the Retry-After header, in seconds.
	retryAfter = "5"
)

// A stranger, or an outage, gets logBurst lines each logPeriod.
const (
	logBurst  = 5
	logPeriod = time.Minute
)

// Handler answers Meta. It is safe for concurrent use.
type Handler struct {
	opts      Options
	verifiers []*verifier
	token     [sha256.Size]byte // of the verify token: sums compare in constant time
	bodies    sync.Pool         // of *bytes.Buffer
	large     chan struct{}
	refused   zerolog.Logger
	failed    zerolog.Logger
}

var errOption = errors.New("webhook option")

// New returns a Handler, or an error that names every option that is missing or
// out of bounds.
func New(o Options) (*Handler, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Ease == nil {
		o.Ease = func(context.Context, []messenger.Event) {}
	}
	if o.Observe == nil {
		o.Observe = func(Delivery) {}
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of an injected clock
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	h := &Handler{
		opts: o, token: sha256.Sum256([]byte(o.VerifyToken)), large: make(chan struct{}, maxLarge),
		refused: sampled(o.Log), failed: sampled(o.Log),
	}
	for _, s := range o.Secrets {
		h.verifiers = append(h.verifiers, &verifier{secret: []byte(s)})
	}
	return h, nil
}

func (o Options) validate() error {
	var faults []error
	must := func(ok bool, what string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%w: %s", errOption, what))
		}
	}
	must(len(o.Secrets) > 0, "Secrets is empty: nothing could be verified")
	for _, s := range o.Secrets {
		must(s != "", "Secrets has an empty one: anybody could sign")
	}
	must(o.VerifyToken != "", "VerifyToken is empty: anybody could name it")
	must(o.Inbox != nil, "Inbox is missing")
	must(o.Timeout > 0 && o.Timeout < maxTimeout, fmt.Sprintf("Timeout is %v, want more than 0 and less than %v", o.Timeout, maxTimeout))
	return errors.Join(faults...)
}

func sampled(log zerolog.Logger) zerolog.Logger {
	return log.Sample(&zerolog.BurstSampler{Burst: logBurst, Period: logPeriod})
}

// Register routes GET and POST of /webhook to h.
func (h *Handler) Register(e *echo.Echo) {
	e.Match([]string{http.MethodGet, http.MethodPost}, path, echo.WrapHandler(h))
}

// ServeHTTP answers GET, which is Meta asking whether the URL is ours, and POST,
// which is a delivery.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		h.subscribe(w, r)
	case http.MethodPost:
		begun := h.opts.Now()
		status, events := h.receive(w, r)
		answer(w, status, "EVENT_RECEIVED")
		h.opts.Observe(Delivery{Status: status, Events: events, Took: h.opts.Now().Sub(begun)})
	default:
		w.Header().Set("Allow", "GET, POST")
		answer(w, http.StatusMethodNotAllowed, "")
	}
}

// answer writes text if all is well, and else no more than what the status means.
func answer(w http.ResponseWriter, status int, text string) {
	if status != http.StatusOK {
		text = http.StatusText(status)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) //nolint:gosec // plain text, not sniffed, to who knows the verify token; if the write fails, Meta asks again
}

// subscribe answers the request by which Meta makes sure that the URL is ours.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks
func (h *Handler) subscribe(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	token := sha256.Sum256([]byte(q.Get("hub.verify_token")))
	challenge := q.Get("hub.challenge")
	if q.Get("hub.mode") != "subscribe" || subtle.ConstantTimeCompare(token[:], h.token[:]) != 1 ||
		challenge == "" || len(challenge) > maxChallenge {
		h.refused.Warn().Int("status", http.StatusForbidden).Msg("Verification request refused: is verify_token the dashboard's?")
		answer(w, http.StatusForbidden, "")
		return
	}
	answer(w, http.StatusOK, challenge)
}

// receive takes a delivery in and returns the status to answer: 200 only if its
// events are stored.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) (status int, events []messenger.Event) {
	status, events, size := h.open(w, r)
	if len(events) == 0 {
		return status, nil
	}
	// What can be stored is, also when Meta has hung up meanwhile: it comes again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.opts.Timeout)
	defer cancel()
	if err := h.opts.Inbox.Append(ctx, events); err != nil {
		h.failed.Error().Err(err).Int("events", len(events)).Int("bytes", size).Msg("Delivery not stored: Meta will repeat it")
		return http.StatusServiceUnavailable, events
	}
	h.opts.Ease(ctx, events)
	return status, events
}

// open returns the events of a delivery and its size in bytes, or the status with which
// it is refused.
func (h *Handler) open(w http.ResponseWriter, r *http.Request) (status int, events []messenger.Event, size int) {
	if encoded(r.Header) {
		return h.refuse(http.StatusUnsupportedMediaType, "Delivery refused: it is compressed")
	}
	// Who cannot have signed does not make us read.
	signature := r.Header.Get(signatureHeader)
	if len(signature) != signatureLen {
		return h.refuse(http.StatusUnauthorized, "Delivery refused: it has no SHA-256 signature")
	}
	if r.ContentLength > maxBody {
		return h.refuse(http.StatusRequestEntityTooLarge, "Delivery refused: it is too long")
	}
	buf, ok := h.bodies.Get().(*bytes.Buffer)
	if !ok {
		buf = new(bytes.Buffer)
	}
	large, err := h.read(w, r, buf)
	defer h.release(buf, large)
	_, tooLong := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLong:
		return h.refuse(http.StatusRequestEntityTooLarge, "Delivery refused: it is too long")
	case errors.Is(err, errBusy):
		return h.refuse(http.StatusServiceUnavailable, "Delivery refused: too many large ones at once")
	case err != nil:
		return h.refuse(http.StatusBadRequest, "Delivery broke off")
	case !h.signed(buf.Bytes(), signature):
		return h.refuse(http.StatusUnauthorized, "Delivery refused: is app_secret that of the app?")
	}
	return http.StatusOK, h.decode(buf.Bytes()), buf.Len()
}

func (h *Handler) refuse(status int, why string) (_ int, events []messenger.Event, size int) {
	h.refused.Warn().Int("status", status).Msg(why)
	return status, nil, 0
}

// encoded tells whether the body is not what was signed, but say gzip.
func encoded(h http.Header) bool {
	for _, v := range h.Values("Content-Encoding") {
		if v != "" && !strings.EqualFold(v, "identity") {
			return true
		}
	}
	return false
}

// errBusy reports a large delivery that waited for its turn in vain.
var errBusy = errors.New("too many large deliveries")

// read reads the body into buf, whatever its length was said to be. large tells
// that it took one of the turns of the large.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) (large bool, err error) {
	buf.Reset()
	body := http.MaxBytesReader(w, r.Body, maxBody)
	if n, err := buf.ReadFrom(io.LimitReader(body, largeBody)); err != nil || n < largeBody {
		return false, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.opts.Timeout)
	defer cancel()
	select {
	case h.large <- struct{}{}:
		_, err = buf.ReadFrom(body)
		return true, err
	case <-ctx.Done():
		return false, errBusy
	}
}

// release gives back what read took. What a large body needed is not kept.
func (h *Handler) release(buf *bytes.Buffer, large bool) {
	if large {
		<-h.large
		return
	}
	h.bodies.Put(buf)
}

func (h *Handler) signed(body []byte, signature string) bool {
	for _, v := range h.verifiers {
		if v.signed(body, signature) {
			return true
		}
	}
	return false
}

// decode returns the events of a delivery that Meta signed. If it is not JSON it
// is kept as it is: 200 for nothing would lose it, and all else repeat it for ever.
func (h *Handler) decode(body []byte) []messenger.Event {
	events, err := Decode(body)
	if syntax, ok := errors.AsType[*SyntaxError](err); ok {
		h.failed.Error().Int64("offset", syntax.Offset).Int("bytes", len(body)).Msg("Signed delivery is not JSON: kept as unknown")
		return []messenger.Event{notJSON(body)}
	}
	return events
}
