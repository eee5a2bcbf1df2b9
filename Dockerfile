FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY hub hub
COPY alerts alerts
RUN python -m venv /opt/hub \
 && PIP_CONSTRAINT=constraints.txt /opt/hub/bin/pip install --no-cache-dir '.[postgres,speed]'

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/hub hub
COPY --from=build /opt/hub /opt/hub
ENV PATH=/opt/hub/bin:$PATH PYTHONUNBUFFERED=1
USER hub
WORKDIR /var/lib/hub
VOLUME /var/lib/hub
EXPOSE 8480
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(os.environ.get('HUB_HEALTH_URL', 'http://127.0.0.1:8480/readyz'), timeout=2)"]
ENTRYPOINT ["hub"]
CMD ["run", "/var/lib/hub/config.yaml"]
