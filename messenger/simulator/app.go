package simulator

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"usher/messenger"
)

// app is an app connected to the Page.
type app struct {
	id      messenger.AppID
	token   string // "" is revoked
	dead    string // the token that was revoked last
	secret  string
	mayTake bool
	fields  []string // subscribed webhook fields; empty is unsubscribed
	lapsed  bool     // unsubscribed by Meta, for failing
	day     window   // its calls in the last day
	hour    window   // and in the last hour
	queue   queue
}

// connect returns the app of that id, which may be new. The lock is held.
func (m *Meta) connect(id messenger.AppID) *app {
	if a := m.find(id); a != nil {
		return a
	}
	a := &app{id: id, token: "token-" + string(id), secret: "secret-" + string(id), fields: DefaultFields()}
	a.queue.app = a
	m.apps = append(m.apps, a)
	return a
}

// find returns a connected app, or nil. The lock is held.
func (m *Meta) find(id messenger.AppID) *app {
	i := slices.IndexFunc(m.apps, func(a *app) bool { return a.id == id })
	if i < 0 {
		return nil
	}
	return m.apps[i]
}

// byToken returns the app that a page token belongs to, or nil. The lock is held.
func (m *Meta) byToken(token string) *app {
	i := slices.IndexFunc(m.apps, func(a *app) bool { return token != "" && a.token == token })
	if i < 0 {
		return nil
	}
	return m.apps[i]
}

// RevokeToken makes App's access token invalid: its calls are refused with code
// 190, subcode 463, until [Meta.SetPageToken] or [Meta.Heal].
func (m *Meta) RevokeToken() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.us.token != "" {
		m.us.dead, m.us.token = m.us.token, ""
	}
	m.happened()
}

// SetPageToken gives App an access token; the one before is revoked.
func (m *Meta) SetPageToken(token string) {
	m.RevokeToken()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.us.token = token
}

// badToken refuses a token that is nobody's, or no longer somebody's.
func (m *Meta) badToken(token string) *GraphError {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := refuse(190, 0, "Invalid OAuth access token - Cannot parse access token")
	if token == m.us.dead {
		r = refuse(190, 463, "Error validating access token: Session has expired.")
	}
	r.Status = http.StatusUnauthorized
	return r
}

// proof returns the appsecret_proof of a token.
func proof(secret, token string) string { return hex.EncodeToString(sign(secret, []byte(token))) }

func sign(secret string, b []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(b)
	return mac.Sum(nil)
}

// OtherApp is an app beside the one under test: a second bot, a help desk,
// Meta's own AI. Its calls obey the same rules and stand in the same ledger; a
// call that Meta refuses returns a [*GraphError].
type OtherApp struct {
	m   *Meta
	app *app
}

// OtherApp returns the app of that id, and connects it to the Page if need be.
// It may not take control until [Meta.AllowTake].
func (m *Meta) OtherApp(id messenger.AppID) *OtherApp {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &OtherApp{m: m, app: m.connect(id)}
}

// Token returns the access token with which the app can call Graph over HTTP.
func (o *OtherApp) Token() string {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	return o.app.token
}

// Secret returns the secret that signs the app's webhooks.
func (o *OtherApp) Secret() string { return o.app.secret }

// Listen sends the app's webhooks to h from now on.
func (o *OtherApp) Listen(h http.Handler) { o.m.listen(o.app, h, "") }

// Send says text, and returns its id.
func (o *OtherApp) Send(psid messenger.PSID, text string) (messenger.MessageID, error) {
	answer, err := o.call(EdgeMessages, psid, map[string]any{"messaging_type": "RESPONSE", "message": map[string]any{"text": text}})
	if err != nil {
		return "", err
	}
	sent, _ := answer.(sendAnswer)
	return sent.MessageID, nil
}

// Pass gives control to another app.
func (o *OtherApp) Pass(psid messenger.PSID, to messenger.AppID, metadata string) error {
	_, err := o.call(EdgePass, psid, map[string]any{"target_app_id": to, "metadata": metadata})
	return err
}

// Take takes control.
func (o *OtherApp) Take(psid messenger.PSID, metadata string) error {
	_, err := o.call(EdgeTake, psid, map[string]any{"metadata": metadata})
	return err
}

// Request asks for control.
func (o *OtherApp) Request(psid messenger.PSID, metadata string) error {
	_, err := o.call(EdgeRequest, psid, map[string]any{"metadata": metadata})
	return err
}

// Release gives control up.
func (o *OtherApp) Release(psid messenger.PSID) error {
	_, err := o.call(EdgeRelease, psid, map[string]any{})
	return err
}

// Extend keeps control for d from now, in whole seconds.
func (o *OtherApp) Extend(psid messenger.PSID, d time.Duration) error {
	_, err := o.call(EdgeExtend, psid, map[string]any{"duration": int(d.Seconds())})
	return err
}

func (o *OtherApp) call(name string, psid messenger.PSID, body map[string]any) (any, error) {
	body["recipient"] = map[string]any{"id": psid}
	p, err := paramsOf(body)
	if err != nil {
		return nil, err
	}
	answer, refused := o.m.perform(&call{app: o.app, method: http.MethodPost, node: "me", edge: name, params: p})
	if refused != nil {
		return nil, refused
	}
	return answer, nil
}

// graph calls Graph over HTTP, in this process, with the app's token and proof.
func (o *OtherApp) graph(method, path string, body json.RawMessage) (Outcome, error) {
	o.m.mu.Lock()
	token := or(o.app.token, o.app.dead)
	proof := proof(o.app.secret, token)
	o.m.mu.Unlock()
	at, err := url.Parse("https://graph.invalid/" + strings.TrimPrefix(path, "/"))
	if err != nil {
		return Outcome{}, fmt.Errorf("%s %s: %w: %w", method, path, ErrDeed, err)
	}
	query := at.Query()
	query.Set("appsecret_proof", proof)
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(o.m.ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return Outcome{}, fmt.Errorf("%s %s: %w: %w", method, path, ErrDeed, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := o.m.Client().Do(req)
	if cut, ok := errors.AsType[*url.Error](err); ok { // its text has the proof
		return Outcome{}, fmt.Errorf("%s %s: %w", method, path, cut.Err)
	}
	if err != nil {
		return Outcome{}, err
	}
	answer, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return Outcome{}, err
	}
	if res.StatusCode != http.StatusOK {
		return Outcome{}, readRefusal(res.StatusCode, answer)
	}
	var sent sendAnswer
	if json.Unmarshal(answer, &sent) != nil {
		sent = sendAnswer{} // not every answer is a send's
	}
	return Outcome{MID: sent.MessageID, Answer: bytes.TrimSpace(answer)}, nil
}

// readRefusal reads an error as Graph wrote it.
func readRefusal(status int, answer []byte) *GraphError {
	var body struct {
		Error struct {
			Code    int    `json:"code"`
			Subcode int    `json:"error_subcode"`
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(answer, &body) != nil || body.Error.Message == "" {
		body.Error.Message = fmt.Sprintf("status %d: %.200s", status, answer) // no error of Meta's
	}
	e := body.Error
	return &GraphError{Status: status, Code: e.Code, Subcode: e.Subcode, Type: e.Type, Message: e.Message}
}
