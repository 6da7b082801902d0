package simulator

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxCalls is how many calls a batch may have.
const maxCalls = 50

// batched is a call in a batch.
type batched struct {
	Method string `json:"method"`
	URL    string `json:"relative_url"` // me/messages?…, also with a version before it
	Body   string `json:"body"`         // as a form

	// These two are Meta's, and unknown here.
	DependsOn json.RawMessage `json:"depends_on"`
	Files     json.RawMessage `json:"attached_files"`
}

// result is what became of it; null where there was no answer.
type result struct {
	Code    int      `json:"code"`
	Headers []header `json:"headers,omitempty"`
	Body    string   `json:"body"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// batch is POST / with up to 50 calls, which are made in order, each against the
// limits and with its own fate. Those without a token have the batch's.
//
// https://developers.facebook.com/docs/graph-api/batch-requests
func (m *Meta) batch(ctx context.Context, c *call) (any, *GraphError) {
	results, refused := m.makeAll(ctx, c)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle(c, results, refused)
	return results, refused
}

func (m *Meta) makeAll(ctx context.Context, c *call) ([]*result, *GraphError) {
	var calls []batched
	if refused := c.params.object("batch", &calls); refused != nil {
		return nil, refused
	}
	switch {
	case len(calls) == 0:
		return nil, bad("The parameter batch is required")
	case len(calls) > maxCalls:
		return nil, bad("Too many requests in batch message. Maximum batch size is %d", maxCalls)
	case slices.ContainsFunc(calls, func(b batched) bool { return b.DependsOn != nil || b.Files != nil }):
		return nil, bad("depends_on and attached_files: the simulator does not know them")
	}
	results := make([]*result, len(calls))
	for i, b := range calls {
		results[i] = m.batched(ctx, c, b)
	}
	return results, nil
}

// batched makes one call of a batch.
func (m *Meta) batched(ctx context.Context, of *call, b batched) *result {
	p := params{}
	at, err := url.Parse(b.URL)
	if err != nil {
		at = &url.URL{}
	}
	for _, args := range []string{at.RawQuery, b.Body} {
		form, malformed := url.ParseQuery(args)
		err = cmp.Or(err, malformed)
		p.addForm(form)
	}
	c := m.call(strings.ToUpper(or(b.Method, http.MethodGet)), at.Path, p)
	c.root = of.root
	if c.token == "" {
		c.token = of.token
		if _, proven := p["appsecret_proof"]; !proven && of.params["appsecret_proof"] != nil {
			p["appsecret_proof"] = of.params["appsecret_proof"]
		}
	}
	var refused *GraphError
	switch {
	case err != nil: // which may quote a token
		refused = bad("A relative_url or a body of the batch cannot be read")
	case c.edge == EdgeBatch:
		refused = bad("A batch cannot be in a batch")
	}
	a := m.do(ctx, c, refused)
	if a.cut {
		return nil
	}
	r := &result{Code: a.status, Body: a.raw}
	if a.raw == "" {
		r.Body = string(mustMarshal(a.body))
	}
	if of.params.text("include_headers") != "false" {
		r.Headers = []header{{"Content-Type", jsonType}}
		for _, name := range slices.Sorted(maps.Keys(a.header)) {
			r.Headers = append(r.Headers, header{name, a.header.Get(name)})
		}
	}
	return r
}
