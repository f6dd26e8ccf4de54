package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// getJSON asks for a document.
func getJSON(ctx context.Context, client *http.Client, url string, into any) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, response.Status, data)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(data, into)
}

// eventually looks again and again until it is so.
func eventually(ctx context.Context, limit, pause time.Duration, is func() (bool, error)) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	again := time.NewTicker(pause)
	defer again.Stop()
	for {
		ok, err := is()
		if ok || err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return fmt.Errorf("not so after %s", limit)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// post sends a document.
func (d *daemon) post(ctx context.Context, path string, document any) (err error) {
	body, err := json.Marshal(document)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://daemon"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := d.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	return err
}
