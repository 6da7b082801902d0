package simulator

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"usher/messenger"
)

// The edges, as they are named in [Call] and [Meta.FailNext].
const (
	EdgeMessages         = "messages"
	EdgePass             = "pass_thread_control"
	EdgeTake             = "take_thread_control"
	EdgeRequest          = "request_thread_control"
	EdgeRelease          = "release_thread_control"
	EdgeExtend           = "extend_thread_control"
	EdgeOwner            = "thread_owner"
	EdgeAttachments      = "message_attachments"
	EdgeMessengerProfile = "messenger_profile"
	EdgeSubscribedApps   = "subscribed_apps"
	EdgePage             = "page"    // GET /{page}?fields=…
	EdgeProfile          = "profile" // GET /{psid}?fields=…
	EdgeWebhook          = "webhook" // deliveries, for Latency only
)

// maxCall is the longest request body that is read.
const maxCall = 32 << 20

// GraphError is an error of the Graph API.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/error-codes
type GraphError struct {
	Status  int
	Code    int
	Subcode int
	Type    string
	Message string
}

// Error returns Meta's message.
func (r *GraphError) Error() string { return r.Message }

// refuse makes the usual kind: 400, OAuthException.
func refuse(code, subcode int, format string, args ...any) *GraphError {
	return &GraphError{
		Status: http.StatusBadRequest, Code: code, Subcode: subcode, Type: "OAuthException",
		Message: fmt.Sprintf(format, args...),
	}
}

// bad refuses a parameter.
func bad(format string, args ...any) *GraphError {
	return refuse(100, 0, "(#100) "+format, args...)
}

// edge answers one kind of call. The lock is held.
type edge func(*call) (answer any, refused *GraphError)

func (m *Meta) routes() map[string]edge {
	return map[string]edge{
		"POST " + EdgeMessages:           m.messages,
		"POST " + EdgePass:               m.passEdge,
		"POST " + EdgeTake:               m.takeEdge,
		"POST " + EdgeRequest:            m.requestEdge,
		"POST " + EdgeRelease:            m.releaseEdge,
		"POST " + EdgeExtend:             m.extendEdge,
		"GET " + EdgeOwner:               m.ownerEdge,
		"POST " + EdgeAttachments:        m.upload,
		"GET " + EdgeMessengerProfile:    m.readProfile,
		"POST " + EdgeMessengerProfile:   m.writeProfile,
		"DELETE " + EdgeMessengerProfile: m.deleteProfile,
		"GET " + EdgeSubscribedApps:      m.subscriptions,
		"POST " + EdgeSubscribedApps:     m.subscribe,
		"DELETE " + EdgeSubscribedApps:   m.unsubscribe,
		"GET " + EdgePage:                m.page,
		"GET " + EdgeProfile:             m.person,
	}
}

// call is one Graph call.
type call struct {
	app    *app // nil until the token is known
	method string
	node   string // the Page, "me" or a customer
	edge   string
	params params
	entry  Call
}

// ServeHTTP answers the Graph API below /vNN.N/, and the control API below
// /_simulator/, see [OpenAPI].
func (m *Meta) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPath) {
		m.api.ServeHTTP(w, r)
		return
	}
	c := &call{method: r.Method}
	c.node, c.edge = m.locate(r.URL.Path)
	var refused *GraphError
	c.params, refused = readParams(w, r)

	m.mu.Lock()
	failure, failing := m.failure(c.edge, c.psid())
	latency := m.faults.latencyOf(c.edge)
	m.mu.Unlock()

	if m.pause(r.Context(), latency) != nil {
		m.fail(w, c, Failure{Cut: true}, true) // the caller has gone
	}
	if failing && !failure.After {
		if m.wait(r.Context(), failure) != nil {
			failure = Failure{Cut: true} // the caller has gone
		}
		if failure.Cut || failure.answers() {
			m.fail(w, c, failure, true)
			return
		}
	}
	c.entry.AnswerLost = failure.After
	if refused == nil {
		refused = m.authorise(c, r.Header.Get("Authorization"))
	}
	answer, refused := m.settleCall(c, refused)
	if failing && failure.After {
		if m.wait(r.Context(), failure) != nil {
			failure = Failure{Cut: true}
		}
		m.fail(w, c, failure, false)
		return
	}
	m.writeUsage(w)
	if refused != nil {
		m.writeRefusal(w, refused)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// locate reads /v26.0/{node}/{edge}. The version may be missing.
func (m *Meta) locate(path string) (node, name string) {
	node, name, _ = strings.Cut(strings.Trim(path, "/"), "/")
	if isVersion(node) {
		node, name, _ = strings.Cut(name, "/")
	}
	switch {
	case name != "":
	case m.isPage(node):
		name = EdgePage
	default:
		name = EdgeProfile
	}
	return node, name
}

func isVersion(s string) bool {
	return len(s) > 1 && s[0] == 'v' && strings.Trim(s[1:], "0123456789.") == ""
}

func (m *Meta) isPage(node string) bool { return node == "me" || node == string(m.opt.Page) }

// authorise finds the app by the call's token and checks its proof.
func (m *Meta) authorise(c *call, header string) *GraphError {
	token, bearer := strings.CutPrefix(header, "Bearer ")
	if !bearer {
		token = c.params.text("access_token")
	}
	if token == "" {
		return refuse(104, 0, "An access token is required to request this resource.")
	}
	m.mu.Lock()
	c.app = m.byToken(token)
	m.mu.Unlock()
	if c.app == nil {
		r := refuse(190, 0, "Invalid OAuth access token - Cannot parse access token")
		r.Status = http.StatusUnauthorized
		return r
	}
	proof := c.params.text("appsecret_proof")
	if proof == "" && m.opt.CheckProof {
		return refuse(100, 0, "API calls from the server require an appsecret_proof argument")
	}
	if proof != "" && !hmac.Equal([]byte(proof), []byte(c.app.proof())) {
		return refuse(100, 0, "Invalid appsecret_proof provided in the API argument")
	}
	return nil
}

// perform answers an authorised call.
func (m *Meta) perform(c *call) (any, *GraphError) { return m.settleCall(c, nil) }

// settleCall answers a call, unless it is refused already, and records it.
func (m *Meta) settleCall(c *call, refused *GraphError) (answer any, _ *GraphError) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if refused == nil {
		refused = m.spend()
	}
	if refused == nil {
		answer, refused = m.dispatch(c)
	}
	c.entry.Status = http.StatusOK
	if refused != nil {
		c.entry.Status, c.entry.Code, c.entry.Subcode, c.entry.Error = refused.Status, refused.Code, refused.Subcode, refused.Message
		c.entry.Answer = m.keptJSON(refused.body())
	} else {
		c.entry.Answer = m.keptJSON(answer)
	}
	m.recordCall(c)
	return answer, refused
}

func (m *Meta) recordCall(c *call) {
	c.entry.Method, c.entry.Edge, c.entry.PSID = c.method, c.edge, c.psid()
	if m.opt.KeepBodies {
		c.entry.Request = m.keptJSON(c.params.withoutSecrets())
	}
	if c.app != nil {
		c.entry.App = c.app.id
	}
	entry := c.entry
	m.record(Entry{Call: &entry})
}

func (m *Meta) dispatch(c *call) (any, *GraphError) {
	answer := m.edges[c.method+" "+c.edge]
	if answer == nil || c.edge != EdgeProfile && !m.isPage(c.node) {
		return nil, refuse(100, 33, "Unsupported %s request. Object with ID '%s' does not exist, cannot be loaded due to missing permissions, "+
			"or does not support this operation", strings.ToLower(c.method), c.node)
	}
	return answer(c)
}

// fail answers with what went wrong. Unless the call took effect it is recorded
// as it was answered.
func (m *Meta) fail(w http.ResponseWriter, c *call, f Failure, record bool) {
	cut := f.cuts()
	if f.Status == 0 {
		f.Status = http.StatusBadRequest
		if f.Body != "" {
			f.Status = http.StatusOK
		}
	}
	refused := &GraphError{
		Status: f.Status, Code: f.Code, Subcode: f.Subcode, Type: "OAuthException",
		Message: or(f.Message, fmt.Sprintf("(#%d) failed on purpose", f.Code)),
	}
	if record {
		m.mu.Lock()
		c.entry.Error = "cut"
		if !cut {
			c.entry.Status, c.entry.Code, c.entry.Subcode, c.entry.Error = f.Status, f.Code, f.Subcode, or(f.Message, "failed on purpose")
			c.entry.Answer = m.keptJSON(refused.body())
		}
		m.recordCall(c)
		m.mu.Unlock()
	}
	if cut {
		panic(http.ErrAbortHandler) // net/http's way to end a connection without an answer
	}
	for name, values := range f.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	if f.Body != "" {
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body) // a caller that left needs nothing
		return
	}
	m.writeRefusal(w, refused)
}

func (m *Meta) writeRefusal(w http.ResponseWriter, r *GraphError) {
	m.mu.Lock()
	trace := m.next("A")
	m.mu.Unlock()
	body := r.body()
	body["error"]["fbtrace_id"] = trace
	writeJSON(w, r.Status, body)
}

// body writes r as Meta does, but for the trace id.
func (r *GraphError) body() map[string]map[string]any {
	body := map[string]any{"message": r.Message, "type": r.Type, "code": r.Code}
	if r.Subcode != 0 {
		body["error_subcode"] = r.Subcode
	}
	if r.Code == 1 || r.Code == 2 {
		body["is_transient"] = true
	}
	return map[string]map[string]any{"error": body}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a caller that left needs nothing
}

// params are a call's arguments: from the query, and from a body of JSON or of
// form fields. A form field's JSON is a JSON string here.
type params map[string]json.RawMessage

func readParams(w http.ResponseWriter, r *http.Request) (params, *GraphError) {
	p := params{}
	p.addForm(r.URL.Query())
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCall))
	if err != nil {
		return p, bad("body: %v", err)
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case len(body) == 0:
	case err == nil && kind == "multipart/form-data":
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err := r.ParseMultipartForm(maxCall); err != nil {
			return p, bad("body: %v", err)
		}
		p.addForm(r.MultipartForm.Value)
		if len(r.MultipartForm.File) > 0 {
			p["filedata"] = json.RawMessage(`true`)
		}
	case err == nil && kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return p, bad("body: %v", err)
		}
		p.addForm(form)
	default:
		if err := json.Unmarshal(body, &p); err != nil {
			return p, bad("body is not a JSON object: %v", err)
		}
	}
	return p, nil
}

func (p params) addForm(form url.Values) {
	for key, values := range form {
		if b, err := json.Marshal(values[0]); err == nil { // a string always can be
			p[key] = b
		}
	}
}

func paramsOf(v any) (params, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var p params
	err = json.Unmarshal(b, &p)
	return p, err
}

// raw returns a parameter's JSON, also where it came as a form field's text.
func (p params) raw(key string) json.RawMessage {
	b := p[key]
	var inner string
	if json.Unmarshal(b, &inner) == nil && json.Valid([]byte(inner)) && (inner[0] == '[' || inner[0] == '{') {
		return json.RawMessage(inner)
	}
	return b
}

// withoutSecrets leaves out what proves who calls.
func (p params) withoutSecrets() params {
	p = maps.Clone(p)
	delete(p, "access_token")
	delete(p, "appsecret_proof")
	return p
}

// text returns a parameter that is a string or a number.
func (p params) text(key string) string { return flexible(p[key]) }

func flexible(b json.RawMessage) string {
	var s string
	if json.Unmarshal(b, &s) == nil {
		return s
	}
	return strings.TrimSpace(string(b))
}

// object reads a parameter that is a JSON object into v.
func (p params) object(key string, v any) *GraphError {
	b := p.raw(key)
	if len(b) == 0 || string(b) == "null" {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return bad("Param %s is not what it should be: %v", key, err)
	}
	return nil
}

// psid returns whom the call is about, "" for nobody.
func (c *call) psid() messenger.PSID {
	if c.edge == EdgeProfile {
		return messenger.PSID(c.node)
	}
	var to struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(c.params.raw("recipient"), &to) == nil {
		return messenger.PSID(flexible(to.ID))
	}
	text := c.params.text("recipient")
	if lax, ok := strings.CutPrefix(text, "{id:"); ok { // as Meta's own samples have it
		text = strings.TrimSuffix(lax, "}")
	}
	return messenger.PSID(text)
}
