/// Someone who carries out operator requests: the store itself, or a running worker behind its port.
public protocol Operating: Sendable {
  func perform(_ request: OperatorRequest) async -> OperatorAnswer
}
