package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// maxSecret bounds a file with a secret, and maxAnswer what is read of an answer.
	maxSecret = 64 << 10
	maxAnswer = 64 << 10
)

// result is how one attempt ended.
type result struct {
	ok     bool
	status string
	// final says that another attempt would end the same.
	final bool
	// after is how long the target wants to be left alone; zero where it does not say.
	after time.Duration
}

// newClient follows no redirect: what is signed for one place goes to that place.
func newClient() *http.Client {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	return &http.Client{
		Transport:     transport.Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post delivers a notification to a webhook, signed as Standard Webhooks says.
func post(ctx context.Context, client *http.Client, t Target, n store.Notification, trace *workflow.TraceContext, now time.Time) result {
	secret, err := readSecret(t.SecretFile)
	if err != nil {
		return result{status: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.Webhook, bytes.NewReader(n.Body))
	if err != nil {
		return result{status: "the address of the webhook cannot be used", final: true}
	}
	seconds := strconv.FormatInt(now.Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "orchestrator")
	request.Header.Set("Webhook-Id", n.ID)
	request.Header.Set("Webhook-Timestamp", seconds)
	request.Header.Set("Webhook-Signature", sign(secret, n.ID, seconds, n.Body))
	if trace != nil {
		request.Header.Set("Traceparent", trace.Parent)
		if trace.State != "" {
			request.Header.Set("Tracestate", trace.State)
		}
	}
	response, err := client.Do(request)
	if err != nil {
		return result{status: withoutAddress(ctx, err, t.timeout())}
	}
	defer func() { _ = response.Body.Close() }() // what it says is of no interest
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	return judge(response)
}

func judge(response *http.Response) result {
	r := result{status: strings.TrimSpace(strconv.Itoa(response.StatusCode) + " " + http.StatusText(response.StatusCode))}
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		r.ok = true
	case code >= 300 && code < 400:
		r.status += ": redirects are not followed; give the address itself"
	case code == http.StatusGone:
		r.final = true // it asks never to be told again
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			r.after = time.Duration(min(seconds, int(longestWait/time.Second))) * time.Second
		}
	}
	return r
}

// withoutAddress says why a request failed without its address, which may be secret.
func withoutAddress(ctx context.Context, err error, limit time.Duration) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", limit)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return "no connection: " + err.Error()
}

// sign is the webhook-signature of Standard Webhooks: version 1, HMAC-SHA256.
func sign(secret []byte, id, seconds string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + seconds + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// readSecret reads the key of the signature. Its errors never hold it.
func readSecret(file string) ([]byte, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("the secret cannot be read: %w", err)
	}
	defer func() { _ = opened.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(opened, maxSecret))
	if err != nil {
		return nil, fmt.Errorf("the secret cannot be read: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("the secret in %s begins with whsec_ and is not base64 after that", file)
		}
		return key, nil
	}
	if secret == "" {
		return nil, fmt.Errorf("the file %s with the secret is empty", file)
	}
	return []byte(secret), nil
}
