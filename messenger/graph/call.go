package graph

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"usher/messenger"
)

// maxAnswer is how much of an answer is read, in bytes, unless its call makes more
// room.
const maxAnswer = 1 << 20

// call is one request to Graph.
type call struct {
	method string
	edge   string // names the call in errors
	path   string // after the version
	query  url.Values
	body   any            // of a POST or DELETE: encodes as a JSON object with members
	person messenger.PSID // whom it is about: no error may name them
	words  []string       // of the conversation: no error may quote them
	extra  time.Duration  // on top of the client's timeout
	room   int            // for the answer, in bytes; 0 for maxAnswer
}

// get reads an edge of the Page.
func (c *Client) get(ctx context.Context, edge string, person messenger.PSID, query url.Values, answer any) error {
	return c.do(ctx, call{method: http.MethodGet, edge: edge, path: c.page + "/" + edge, person: person, query: query}, answer)
}

// order posts body to an edge of the Page that answers whether it did as told.
func (c *Client) order(ctx context.Context, method, edge string, person messenger.PSID, body any) error {
	// Not every edge, nor every proxy of Graph, says so: a 200 without an error is
	// a yes. To doubt it would mean to say and to pass twice.
	var answer struct {
		Success *bool `json:"success"`
	}
	if err := c.do(ctx, call{method: method, edge: edge, path: c.page + "/" + edge, person: person, body: body}, &answer); err != nil {
		return err
	}
	if answer.Success != nil && !*answer.Success {
		return &Error{Edge: edge, Status: http.StatusOK, kind: ErrTransient, detail: "success is false, without a reason"}
	}
	return nil
}

// do makes a call once and decodes its answer, a JSON object. The error is an
// *Error, or ctx's where it ended before anything was sent.
func (c *Client) do(ctx context.Context, k call, answer any) error {
	begun := c.now()
	err := c.try(ctx, k, answer)
	c.observe(Call{Edge: k.edge, Err: err, Took: c.now().Sub(begun)})
	return err
}

func (c *Client) try(ctx context.Context, k call, answer any) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("graph %s: %w", k.edge, err)
	}
	timed := ctx
	if deadline, bound := ctx.Deadline(); !bound || deadline.Sub(c.now()) > c.timeout+k.extra {
		var cancel context.CancelFunc
		timed, cancel = context.WithTimeout(ctx, c.timeout+k.extra)
		defer cancel()
	}
	sent := &trace{}
	req, err := c.request(httptrace.WithClientTrace(timed, sent.hooks()), k)
	if err != nil {
		return fmt.Errorf("graph %s: %w", k.edge, err)
	}
	resp, err := c.transport.RoundTrip(req) // which follows no redirects: the token goes to the operator's host alone
	if err != nil {
		return c.unanswered(ctx, k, sent, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read; nothing is left to lose
	body, err := readAnswer(resp.Body, cmp.Or(k.room, maxAnswer))
	if err != nil {
		return c.unanswered(ctx, k, sent, err)
	}
	return c.read(k, resp, body, answer)
}

// request builds the request of a call. A POST carries the proof in its body,
// because errors of net/http print the URL. It has no GetBody, so that the
// transport cannot send it twice: once read, the body is gone.
func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	s := c.secrets()
	target := *c.root
	target.Path += k.path
	req := http.Request{
		Method: k.method, URL: &target, Host: target.Host, Header: s.bare,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if k.body != nil {
		raw, err := json.Marshal(k.body)
		if err != nil {
			return nil, fmt.Errorf("encode body: %w", err)
		}
		if k.method == http.MethodPost {
			raw = append([]byte(`{"appsecret_proof":"`+s.proof+`",`), raw[1:]...)
		}
		req.Header = s.full
		req.Body, req.ContentLength = io.NopCloser(&timely{ctx: ctx, now: c.now, body: bytes.NewReader(raw)}), int64(len(raw))
	}
	if k.method != http.MethodPost {
		query := url.Values{"appsecret_proof": {s.proof}}
		maps.Copy(query, k.query)
		target.RawQuery = query.Encode()
	}
	return req.WithContext(ctx), nil
}

// timely is a body that is not handed out once ctx's time is over by the clock. A
// process that was frozen may go on before its timers fire, and what it was about
// to write would still go out, long after another one has taken its place. Neither
// HTTP/1 nor HTTP/2 delivers a request without its body.
type timely struct {
	ctx  context.Context //nolint:containedctx // it is the request's
	now  func() time.Time
	body *bytes.Reader
}

func (t *timely) Read(b []byte) (int, error) {
	if until, ok := t.ctx.Deadline(); ok && !t.now().Before(until) {
		return 0, context.DeadlineExceeded
	}
	return t.body.Read(b)
}

// trace knows whether a request may have been written.
type trace struct{ traced, connected atomic.Bool }

// hooks draws the line where the request is given a connection. The hooks that
// report writing come too late: a call that is cancelled can return before they
// run, and the request still be written.
func (t *trace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { t.traced.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { t.connected.Store(true) },
	}
}

// mayBeWritten is true where a transport tells nothing.
func (t *trace) mayBeWritten() bool { return t.connected.Load() || !t.traced.Load() }

// unanswered returns the error of a call whose answer was not read to its end.
func (c *Client) unanswered(ctx context.Context, k call, sent *trace, cause error) error {
	if ue, ok := errors.AsType[*url.Error](cause); ok {
		cause = ue.Err // without the URL
	}
	e := &Error{Edge: k.edge, kind: ErrTransient, cause: cause, detail: cause.Error()}
	switch {
	case k.method == http.MethodPost && sent.mayBeWritten():
		e.kind = ErrUnknownOutcome
	case ctx.Err() != nil:
		return fmt.Errorf("graph %s: %w", k.edge, ctx.Err())
	}
	c.withhold(e, k)
	return e
}

var (
	errTooLong   = errors.New("answer is longer")
	errNotObject = errors.New("answer is not a JSON object")
)

func readAnswer(r io.Reader, room int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, int64(room)+1))
	if err == nil && len(body) > room {
		err = fmt.Errorf("%w than %d bytes", errTooLong, room)
	}
	return body, err
}

// read gives an answer its meaning. An error in the body is one under any
// status, also 200.
func (c *Client) read(k call, resp *http.Response, body []byte, answer any) error {
	usage := c.noteUsage(resp.Header)
	e := &Error{Edge: k.edge, Status: resp.StatusCode, post: k.method == http.MethodPost}
	var probe struct {
		Error json.RawMessage `json:"error"`
	}
	var err error
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		err = errNotObject
	} else if resp.StatusCode/100 != 2 || mayHoldError(body) {
		err = json.Unmarshal(body, &probe)
	}
	refused := len(probe.Error) > 0 && string(probe.Error) != "null"
	if err == nil && !refused && resp.StatusCode/100 == 2 {
		if err = json.Unmarshal(body, answer); err == nil {
			return nil
		}
	}
	if refused {
		err = e.decode(probe.Error)
	}
	if err != nil {
		e.cause, e.detail = err, err.Error()
	}
	if resp.StatusCode/100 == 3 {
		e.detail = "redirects are not followed"
	}
	e.kind = e.classify()
	e.RetryAfter = c.retryAfter(e, resp.Header, usage)
	c.withhold(e, k)
	return e
}

// mayHoldError is false of a JSON text without a member of that name, however it is
// written. Nearly all answers are such, and are read once only.
func mayHoldError(body []byte) bool {
	return bytes.Contains(bytes.ToLower(body), []byte("error")) || bytes.IndexByte(body, '\\') >= 0
}

// recipient is whom a call is about.
type recipient struct {
	ID messenger.PSID `json:"id"`
}

// to returns the recipient of a call. What is no id must not reach a path.
func to(edge string, psid messenger.PSID) (recipient, error) {
	if psid == "" || strings.ContainsFunc(string(psid), notOfAnID) {
		return recipient{}, bad(edge, "PSID %q is not an id", psid)
	}
	return recipient{ID: psid}, nil
}

func notOfAnID(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-'
}

// bad reports what we do not even send.
func bad(edge, format string, args ...any) error {
	return fmt.Errorf("graph %s: %w: %s", edge, ErrBadParameter, fmt.Sprintf(format, args...))
}
