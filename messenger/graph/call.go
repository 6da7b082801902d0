package graph

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"usher/messenger"
	"usher/messenger/flatjson"
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
	body   any            // of a POST or DELETE: encodes as a JSON object with members; may be a flatWriter, a speaker
	person messenger.PSID // whom it is about: no error may name them
	extra  time.Duration  // on top of the client's timeout
	room   int            // for the answer, in bytes; 0 for maxAnswer
}

// A flatWriter writes its members without reflection.
type flatWriter interface{ writeFlat(w *flatjson.Writer) }

// A flatReader reads a JSON object without reflection, if it is as usual.
type flatReader interface{ readFlat(text string) bool }

// A speaker has words of the conversation: no error may quote them.
type speaker interface{ words() []string }

// get reads an edge of the Page.
func (c *Client) get(ctx context.Context, edge string, person messenger.PSID, query url.Values, answer any) error {
	return c.do(ctx, call{method: http.MethodGet, edge: edge, path: c.page + "/" + edge, person: person, query: query}, answer)
}

// order posts body to an edge of the Page that answers whether it did as told.
func (c *Client) order(ctx context.Context, method, edge string, person messenger.PSID, body any) error {
	var answer done
	if err := c.do(ctx, call{method: method, edge: edge, path: c.page + "/" + edge, person: person, body: body}, &answer); err != nil {
		return err
	}
	if answer.Success != nil && !*answer.Success {
		return &Error{Edge: edge, Status: http.StatusOK, kind: ErrTransient, detail: "success is false, without a reason"}
	}
	return nil
}

// done is the answer to an order. Not every edge, nor every proxy of Graph, says so: a
// 200 without an error is a yes. To doubt it would mean to say and to pass twice.
type done struct {
	Success *bool `json:"success"`
}

func (*done) readFlat(text string) bool {
	r := flatjson.NewReader(text)
	r.True("success")
	return r.Done()
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
	x := c.exchanges.Get().(*exchange) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	defer func() {
		if x.reset() {
			c.exchanges.Put(x)
		}
	}()
	if err := c.ask(x, k); err != nil {
		return fmt.Errorf("graph %s: %w", k.edge, err)
	}
	if written, err := c.exchange(ctx, x); err != nil {
		return c.unanswered(ctx, k, written, err)
	}
	return c.read(k, x, answer)
}

// ask puts a call's request into x. A POST carries the proof in its body, because
// errors of net/http print the URL.
func (c *Client) ask(x *exchange, k call) error {
	x.method, x.path, x.room, x.limit, x.now = k.method, k.path, cmp.Or(k.room, maxAnswer), c.timeout+k.extra, c.now
	proof := c.secrets().proof
	if k.method != http.MethodPost {
		query := url.Values{"appsecret_proof": {proof}}
		maps.Copy(query, k.query)
		x.query = query.Encode()
	}
	var err error
	switch body := k.body.(type) {
	case nil:
	case flatWriter:
		w := flatjson.NewWriter()
		w.Begin("", '{')
		w.String("appsecret_proof", proof)
		body.writeFlat(w)
		w.End('}')
		x.body, err = w.Bytes()
	default:
		x.body, err = json.Marshal(body)
		if k.method == http.MethodPost && err == nil {
			x.body = append([]byte(`{"appsecret_proof":"`+proof+`",`), x.body[1:]...)
		}
	}
	if err != nil {
		return fmt.Errorf("encode body: %w", err)
	}
	return nil
}

// unanswered returns the error of a call whose answer was not read to its end.
func (c *Client) unanswered(ctx context.Context, k call, written bool, cause error) error {
	if ue, ok := errors.AsType[*url.Error](cause); ok {
		cause = ue.Err // without the URL
	}
	e := &Error{Edge: k.edge, kind: ErrTransient, cause: cause, detail: cause.Error()}
	switch {
	case k.method == http.MethodPost && written:
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

// read gives an answer its meaning. An error in the body is one under any
// status, also 200.
func (c *Client) read(k call, x *exchange, answer any) error {
	usage := c.noteUsage(x)
	good := x.status/100 == 2
	if flat, ok := answer.(flatReader); ok && good && flat.readFlat(string(bytes.TrimSpace(x.answer))) {
		return nil
	}
	var probe struct {
		Error json.RawMessage `json:"error"`
	}
	var err error
	if !bytes.HasPrefix(bytes.TrimSpace(x.answer), []byte("{")) {
		err = errNotObject
	} else if !good || mayHoldError(x.answer) {
		err = json.Unmarshal(x.answer, &probe)
	}
	refused := len(probe.Error) > 0 && string(probe.Error) != "null"
	if err == nil && !refused && good {
		if err = json.Unmarshal(x.answer, answer); err == nil {
			return nil
		}
	}
	e := &Error{Edge: k.edge, Status: x.status, post: k.method == http.MethodPost}
	if refused {
		err = e.decode(probe.Error)
	}
	if err != nil {
		e.cause, e.detail = err, err.Error()
	}
	if x.status/100 == 3 {
		e.detail = "redirects are not followed"
	}
	e.kind = e.classify()
	e.RetryAfter = c.retryAfter(e, string(x.told[retryAfter]), usage)
	c.withhold(e, k)
	return e
}

// mayHoldError is false of a JSON text without a member of that name, however it is
// written. Nearly all answers are such, and are read once only.
func mayHoldError(body []byte) bool {
	const name = "error"
	for i := range len(body) - len(name) + 1 {
		if body[i]|0x20 == name[0] && bytes.EqualFold(body[i:i+len(name)], []byte(name)) {
			return true
		}
	}
	return bytes.IndexByte(body, '\\') >= 0
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
