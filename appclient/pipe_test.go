package appclient_test

import (
	"bufio"
	"context"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// serveSilent accepts a websocket on one end of a pipe and never sends a frame. It answers pings for ever, or the first only.
func serveSilent(side net.Conn, alive bool) error {
	reader := bufio.NewReader(side)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return err
	}
	conn, err := websocket.Accept(&pipeWriter{side, reader, http.Header{}}, request, &websocket.AcceptOptions{
		OnPingReceived: func() func(context.Context, []byte) bool {
			pings := 0
			return func(context.Context, []byte) bool { pings++; return alive || pings == 1 }
		}(),
	})
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	_, _, err = conn.Read(context.Background())
	return err
}

// pipeWriter is the little of a response that an upgrade needs.
type pipeWriter struct {
	net.Conn
	reader *bufio.Reader
	header http.Header
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	response := http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: w.header}
	_ = response.Write(w.Conn)
}

func (w *pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.Conn, bufio.NewReadWriter(w.reader, bufio.NewWriter(w.Conn)), nil
}
