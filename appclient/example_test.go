package appclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// exampleURL is where the examples connect: $APP_SERVER_URL, or else a server that knows the few turns they need.
func exampleURL() (string, func()) {
	if url := os.Getenv("APP_SERVER_URL"); url != "" {
		return url, func() {}
	}
	server := httptest.NewServer(http.HandlerFunc(serveExample))
	return "ws" + strings.TrimPrefix(server.URL, "http"), server.Close
}

func connect(ctx context.Context) (*appclient.Client, func()) {
	url, stop := exampleURL()
	client, err := appclient.Dial(ctx, appclient.Config{URL: url, Client: appclient.ClientInfo{Name: "example"}})
	if err != nil {
		log.Fatal(err)
	}
	return client, func() { _ = client.Close(); stop() }
}

// Connect and observe every message with the channel it came on.
func ExampleDial() {
	url, stop := exampleURL()
	defer stop()
	client, err := appclient.Dial(context.Background(), appclient.Config{
		URL:     url,
		OnFrame: func(frame appclient.Frame) { fmt.Println(frame.Channel, frame.Type) },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("connected to", client.Info().Version, "by", client.Transport())
	if _, err := client.AppServerInfo(context.Background()); err != nil {
		log.Fatal(err)
	}
	_ = client.Close() // waits for OnFrame
	// Output:
	// connected to 0.30.28 by single
	// main app_server_info_response
}

// Start a runtime for a new agent and a new conversation.
func ExampleClient_StartRuntime_newAgent() {
	ctx := context.Background()
	client, stop := connect(ctx)
	defer stop()
	session, err := client.StartRuntime(ctx, appclient.RuntimeStart{
		CreateAgent: &appclient.AgentCreation{AgentSpec: appclient.AgentSpec{Name: "coder", Model: "lmstudio/scripted"}},
		CWD:         "/home/user/project", Mode: appclient.ModeStandard,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.Runtime().AgentID, session.Runtime().ConversationID, session.Created().Agent)
	// Output: agent-1 conv-new true
}

// Start a new conversation of an existing agent.
func ExampleClient_StartRuntime_newConversation() {
	ctx := context.Background()
	client, stop := connect(ctx)
	defer stop()
	session, err := client.StartRuntime(ctx, appclient.RuntimeStart{
		AgentID:            "agent-1",
		CreateConversation: &appclient.ConversationSpec{Summary: "fix the parser"},
		CWD:                "/home/user/project", Mode: appclient.ModeStandard,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.Runtime().ConversationID, session.Created().Conversation)
	// Output: conv-new true
}

// Go on in an existing conversation.
func ExampleClient_StartRuntime_existing() {
	ctx := context.Background()
	client, stop := connect(ctx)
	defer stop()
	session, err := client.StartRuntime(ctx, appclient.RuntimeStart{
		AgentID: "agent-1", ConversationID: "conv-7", CWD: "/home/user/project", Mode: appclient.ModeStandard,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.Runtime().ConversationID, session.Created().Conversation)
	// Output: conv-7 false
}

func exampleSession(ctx context.Context, tools ...appclient.Tool) (*appclient.Session, func()) {
	client, stop := connect(ctx)
	session, err := client.StartRuntime(ctx, appclient.RuntimeStart{
		AgentID: "agent-1", CWD: "/home/user/project", Mode: appclient.ModeStandard, Tools: tools,
	})
	if err != nil {
		log.Fatal(err)
	}
	return session, stop
}

// Run a turn and wait until it is really over.
func ExampleSession_RunTurn() {
	ctx := context.Background()
	session, stop := exampleSession(ctx)
	defer stop()
	result, err := session.RunTurn(ctx, appclient.Turn{Text: "hello", StallTimeout: 5 * time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %q, %d tokens\n", result.StopReason, result.Text, result.Usage.TotalTokens)
	// Output: end_turn: "hello world", 7 tokens
}

// Send an input and follow what happens.
func ExampleSession_StartTurn() {
	ctx := context.Background()
	session, stop := exampleSession(ctx)
	defer stop()
	turn, err := session.StartTurn(ctx, appclient.Turn{Text: "hello"})
	if err != nil {
		log.Fatal(err)
	}
	for event, err := range turn.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if event.Kind == appclient.EventDelta && event.Delta.MessageType == appclient.DeltaAssistant {
			fmt.Printf("%q\n", event.Delta.Text)
		}
	}
	result, err := turn.Wait(ctx)
	fmt.Println(result.StopReason, err)
	// Output:
	// "hello "
	// "world"
	// end_turn <nil>
}

// Serve a tool of one's own to the agent.
func ExampleTool() {
	ctx := context.Background()
	session, stop := exampleSession(ctx, appclient.Tool{
		Name: "handoff", Description: "Hands the work to a colleague.",
		Parameters: json.RawMessage(`{"type":"object","properties":{"to":{"type":"string"}},"required":["to"]}`),
		Handler: func(_ context.Context, call appclient.ToolCall) (appclient.ToolResult, error) {
			var input struct{ To string }
			if err := json.Unmarshal(call.Input, &input); err != nil {
				return appclient.ToolResult{}, err
			}
			if input.To == "" {
				return appclient.ErrorResult("to must name a colleague"), nil
			}
			return appclient.TextResult("handed to " + input.To), nil
		},
	})
	defer stop()
	result, err := session.RunTurn(ctx, appclient.Turn{Text: "tool"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Text)
	// Output: handed to bob
}

// Decide about tool calls.
func ExampleTurn_approve() {
	ctx := context.Background()
	session, stop := exampleSession(ctx)
	defer stop()
	result, err := session.RunTurn(ctx, appclient.Turn{
		Text: "approval",
		Approve: func(_ context.Context, request appclient.ApprovalRequest) (appclient.Decision, error) {
			fmt.Println("asked for", request.ToolName)
			return appclient.Deny("Do not run commands here."), nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.StopReason, result.Approvals[0].Accepted)
	// Output:
	// asked for Bash
	// end_turn true
}

// Abort a turn.
func ExampleRunningTurn_Abort() {
	ctx := context.Background()
	session, stop := exampleSession(ctx)
	defer stop()
	turn, err := session.StartTurn(ctx, appclient.Turn{Text: "long"})
	if err != nil {
		log.Fatal(err)
	}
	if err := turn.Abort(ctx); err != nil {
		log.Fatal(err) // ErrAbortTimeout: go on in a new conversation
	}
	result, err := turn.Wait(ctx)
	fmt.Println(result.StopReason, err)
	// Output: cancelled <nil>
}

// Send any frame, and look at the state again.
func ExampleClient_Send() {
	ctx := context.Background()
	session, stop := exampleSession(ctx)
	defer stop()
	frames := session.Client().Frames()
	defer frames.Close()
	if err := session.Client().Send(ctx, []byte(`{"type":"app_server_info","request_id":"mine"}`)); err != nil {
		log.Fatal(err)
	}
	for {
		frame, err := frames.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if frame.RequestID == "mine" {
			fmt.Println(frame.Type)
			break
		}
	}
	fmt.Println(session.Sync(ctx))
	// Output:
	// app_server_info_response
	// <nil>
}

// serveExample is the server of the examples.
func serveExample(response http.ResponseWriter, request *http.Request) {
	if request.URL.Path == "/app-server-info" {
		_, _ = response.Write([]byte(`{"letta_code_version":"0.30.28","capabilities":{"split_channels":false}}`))
		return
	}
	conn, err := websocket.Accept(response, request, nil)
	if err != nil {
		log.Print(err)
		return
	}
	w := &wire{conn: conn, request: request}
	defer conn.CloseNow()
	done := func(text string) {
		w.say("r1", text)
		w.delta(object{"message_type": "usage_statistics", "run_id": "r1", "total_tokens": 7})
		w.finished("end_turn", "r1", nil)
	}
	for frame := w.read(); frame != nil; frame = w.read() {
		switch kindOf(frame) {
		case "app_server_info":
			w.send(object{"type": "app_server_info_response", "request_id": frame["request_id"], "success": true})
		case "runtime_start":
			conversation, existing := frame["conversation_id"]
			if !existing {
				conversation = "conv-new"
			}
			scope := object{"agent_id": "agent-1", "conversation_id": conversation}
			w.send(object{
				"type": "runtime_start_response", "request_id": frame["request_id"], "success": true, "runtime": scope,
				"created": object{"agent": frame["create_agent"] != nil, "conversation": !existing},
			})
			w.event(object{"type": "update_device_status", "runtime": scope, "device_status": object{
				"current_working_directory": frame["cwd"], "current_permission_mode": frame["mode"],
			}})
			w.scope = scope
		case "create_message":
			w.send(object{"type": "input_accepted", "request_id": frame["request_id"], "runtime": w.scope, "accepted": true, "disposition": "started"})
			switch frame["payload"].(object)["messages"].([]any)[0].(object)["content"] {
			case "hello":
				w.say("r1", "hello ")
				done("world")
			case "tool":
				w.send(object{"type": "external_tool_call_request", "request_id": "ext", "runtime": w.scope, "tool_name": "handoff", "input": object{"to": "bob"}})
			case "approval":
				w.event(object{"type": "control_request", "request_id": "perm-1", "request": object{"tool_name": "Bash", "tool_call_id": "1", "input": object{}}})
			}
		case "external_tool_call_response":
			done(frame["result"].(object)["content"].([]any)[0].(object)["text"].(string))
		case "approval_response":
			w.send(object{"type": "input_accepted", "request_id": frame["request_id"], "runtime": w.scope, "accepted": true})
			done("denied")
		case "abort_message":
			w.answer(frame)
			w.finished("cancelled", "", nil)
		case "sync":
			w.answer(frame)
		}
	}
}
