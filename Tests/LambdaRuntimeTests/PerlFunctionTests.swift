import Foundation
import LambdaRuntime
import StreamModel
import Testing

/// A runtime in another language than those that AWS has clients for: a few lines of the Perl that every Debian has, over one
/// connection of its own making.
@Suite("A runtime in Perl", .timeLimit(.minutes(10)))
struct PerlFunctionTests: FunctionPoolTesting {
  private static let program = #"""
    use strict; use warnings; use IO::Socket::INET;
    my $base = '/2018-06-01/runtime';
    my $api = IO::Socket::INET->new(PeerAddr => $ENV{AWS_LAMBDA_RUNTIME_API}) or exit 3;
    $api->autoflush(1);
    sub call {
        my ($method, $path, $body, @headers) = @_;
        print $api join("\r\n", "$method $base$path HTTP/1.1", "Host: api", @headers, "Content-Length: " . length($body), "", $body);
        my ($status) = (<$api> // exit 4) =~ m{^HTTP/1\.1 (\d+)};
        my %head;
        while ((my $line = <$api>) !~ /^\r?$/) { $head{lc $1} = $2 if $line =~ /^([^:]+):\s*(.*?)\s*$/ }
        read($api, my $content, $head{'content-length'});
        return ($status, $content, %head);
    }
    my $count = 0;
    while (1) {
        my ($status, $event, %head) = call('GET', '/invocation/next', '');
        my $id = $head{'lambda-runtime-aws-request-id'};
        $count++;
        if ($event =~ /"die"/) {
            call('POST', "/invocation/$id/error", '{"errorType":"Died","errorMessage":"asked to","stackTrace":["line 1"]}', 'Lambda-Runtime-Function-Error-Type: Runtime.Died');
        } elsif ($event =~ /"exit"/) {
            exit 7;
        } else {
            ($status) = call('POST', "/invocation/$id/response", $event);
            exit 5 unless $status == 202;
        }
    }
    """#

  @Test("it gets events and gives responses and errors over one connection, and is replaced when it ends")
  func invocations() async throws {
    try await with(Self.settings(HandlerCommand(["/usr/bin/perl", "-e", Self.program]))) { pool in
      #expect(try await invoke(pool, #"{"a":"é"}"#) == #"{"a":"é"}"#)
      let large = #"{"text":"\#(String(repeating: "x", count: 1 << 20))"}"#
      #expect(try await invoke(pool, large) == large)
      let failed = try await failure(pool, #"{"do":"die"}"#)
      #expect((failed.kind, failed.type, failed.message) == (.error, "Died", "asked to"))
      #expect(failed.trace == ["line 1"])
      #expect(try await invoke(pool, "[1]") == "[1]")
      #expect(pool.statistics.snapshot.starts == 1)
      let ended = try await failure(pool, #"{"do":"exit"}"#)
      #expect((ended.kind, ended.type) == (.exited, "Runtime.ExitError"))
      #expect(ended.message.contains("exit status 7"))
      #expect(try await invoke(pool, "[2]") == "[2]")
      #expect(pool.statistics.snapshot.starts == 2)
    }
  }
}
