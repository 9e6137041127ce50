/// The variables that Lambda sets for a function's process.
public enum EnvironmentVariables {
  /// What a function's configuration may not set: the process would not find its own invocations, or take itself for
  /// something else. AWS reserves more, such as credentials; here these are the user's to give.
  public static let reserved: Set<String> = [
    "AWS_LAMBDA_RUNTIME_API", "_HANDLER", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_MAX_CONCURRENCY", "_LAMBDA_TELEMETRY_LOG_FD", "LAMBDA_TASK_ROOT",
  ]

  /// Weaker than what this process has and the configuration says.
  static func defaults(_ settings: FunctionSettings) -> [String: String] {
    let region = settings.identity.region
    var variables = [
      "AWS_REGION": region, "AWS_DEFAULT_REGION": region,
      // The SDKs refuse to start without credentials, also against an endpoint that takes any.
      "AWS_ACCESS_KEY_ID": "sluice", "AWS_SECRET_ACCESS_KEY": "sluice", "AWS_SESSION_TOKEN": "sluice",
      "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_LAMBDA_LOG_FORMAT": settings.logFormat.rawValue,
      "LAMBDA_RUNTIME_DIR": "/var/runtime", "LANG": "en_US.UTF-8", "TZ": ":UTC",
      "PATH": "/usr/local/bin:/usr/bin:/bin",
    ]
    if !settings.runtime.isEmpty { variables["AWS_EXECUTION_ENV"] = "AWS_Lambda_\(settings.runtime)" }
    return variables
  }

  /// Stronger than anything. `directory` is where the code is.
  static func fixed(
    _ settings: FunctionSettings, runtimeAPI: String, directory: String, logStream: String, isProvisioned: Bool
  ) -> [String: String] {
    [
      "AWS_LAMBDA_RUNTIME_API": runtimeAPI,
      "_HANDLER": settings.handler,
      "LAMBDA_TASK_ROOT": directory,
      "AWS_LAMBDA_FUNCTION_NAME": settings.name,
      "AWS_LAMBDA_FUNCTION_VERSION": FunctionSettings.version,
      "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "\(settings.memorySize)",
      "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/\(settings.name)",
      "AWS_LAMBDA_LOG_STREAM_NAME": logStream,
      "AWS_LAMBDA_INITIALIZATION_TYPE": isProvisioned ? "provisioned-concurrency" : "on-demand",
    ]
  }

  /// What must not reach the process from ours: with these a runtime works in ways that are not served here.
  static let removed: Set<String> = ["AWS_LAMBDA_MAX_CONCURRENCY", "_LAMBDA_TELEMETRY_LOG_FD"]
}
